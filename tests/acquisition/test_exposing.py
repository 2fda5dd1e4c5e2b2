"""The search for an exposure, against a detector in closed form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halidescope.acquisition.exposing import Trial, find_exposure

SATURATION = 60_000.0


def search(rate_counts_s, budget_s=1e9, longest_s=1.0, target=36_000.0):
    """Find the exposure on a linear detector; returns what was found and the light that it cost, s."""
    spent = 0.0

    def look(exposure_s):
        nonlocal spent
        spent += exposure_s
        return Trial(exposure_s, min(rate_counts_s * exposure_s, SATURATION), rate_counts_s * exposure_s >= SATURATION)

    found = find_exposure(
        look, lambda exposure_s: spent + exposure_s <= budget_s, target_counts=target, shortest_s=0.006,
        longest_s=longest_s,
    )
    return found, spent


@given(rate=st.floats(1e2, 1e7), budget_s=st.floats(0.0, 3.0))
def test_the_budget_is_kept_and_limits_too(rate, budget_s):
    found, spent = search(rate, budget_s)
    assert spent <= budget_s
    assert 0.006 <= found.exposure_s <= 1.0
    if found.complete and 0.006 < found.exposure_s < 1.0:
        assert rate * found.exposure_s == pytest.approx(36_000.0, rel=0.01)


@pytest.mark.parametrize("rate", [5e4, 2e5, 3e6])
def test_the_target_is_met_with_few_looks(rate):
    found, _ = search(rate)
    assert found.complete
    assert rate * found.exposure_s == pytest.approx(36_000.0, rel=0.01)
    assert len(found.trials) <= 4


def test_too_faint_gives_the_longest_and_too_bright_the_shortest():
    assert search(100.0)[0].exposure_s == 1.0
    bright, _ = search(1e8)
    assert bright.exposure_s == 0.006
    assert not bright.complete


def test_without_a_budget_nothing_is_looked_at():
    found, spent = search(1e5, budget_s=0.01)
    assert (found.exposure_s, found.trials, found.complete, spent) == (0.006, (), False, 0.0)
