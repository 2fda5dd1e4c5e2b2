"""The dose ledger against integrals done by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halidescope.acquisition.dose import DoseLedger


def test_dose_is_irradiance_times_time_lit_waiting_included():
    ledger = DoseLedger(1.0)
    ledger.moving_to(0.0, 10.0, 10.0)
    ledger.light(5.0, 1000.0)
    assert ledger.here(7.0) == pytest.approx(2000.0)
    ledger.light(8.0, 0.0)
    assert ledger.here(100.0) == pytest.approx(3000.0)
    ledger.light(100.0, 10.0)
    assert ledger.here(101.0) == pytest.approx(3010.0)


def test_the_dark_adds_nothing_and_another_spot_starts_fresh():
    ledger = DoseLedger(1.0)
    ledger.moving_to(0.0, 0.0, 0.0)
    ledger.light(0.0, 1.0)
    ledger.moving_to(3.0, 50.0, 0.0)
    assert ledger.here(3.0) == 0.0
    assert ledger.at(0.0, 0.0) == pytest.approx(3.0)
    ledger.moving_to(4.0, 0.05, 0.0)            # within a tenth of the waist: the same spot again
    assert ledger.here(4.0) == pytest.approx(3.0)


@given(
    st.floats(-3, 3), st.floats(-3, 3), st.floats(0.3, 3.0),
    st.lists(st.tuples(st.floats(0.0, 4.0), st.floats(0.0, 4.0), st.floats(0.1, 5.0)), min_size=1, max_size=12),
)
def test_neighbours_add_the_tails_of_their_gaussians(x, y, waist, stays):
    ledger = DoseLedger(waist)
    now, exact, total = 0.0, 0.0, 0.0
    ledger.moving_to(now, stays[0][0], stays[0][1])
    ledger.light(now, 7.0)
    for sx, sy, stay in stays:
        ledger.moving_to(now, sx, sy)
        now += stay
        exact += 7.0 * stay * math.exp(-2 * ((sx - x) ** 2 + (sy - y) ** 2) / waist**2)
        total += 7.0 * stay
    ledger.light(now, 0.0)
    # spots within a tenth of the waist count as one, which moves a Gaussian's slope by at most 12 %
    assert ledger.at(x, y) == pytest.approx(exact, rel=0.02, abs=0.13 * total)


def test_a_line_of_pixels_much_finer_than_the_waist_adds_up_to_its_integral():
    ledger = DoseLedger(1.0)
    ledger.moving_to(0.0, 0.0, 0.0)
    ledger.light(0.0, 1.0)
    step = 0.05
    for k in range(200):
        ledger.moving_to(k * step, k * step, 0.0)
    ledger.light(200 * step, 0.0)
    assert ledger.at(5.0, 0.0) == pytest.approx(math.sqrt(math.pi / 2), rel=0.02)


def test_what_was_booked_since_the_last_read_back_is_in_doubt_when_the_head_is_found_dark():
    ledger = DoseLedger(1.0)
    ledger.moving_to(0.0, 0.0, 0.0)
    ledger.light(0.0, 100.0)
    ledger.proven(1.0)
    ledger.moving_to(2.0, 20.0, 0.0)
    ledger.here(5.0)
    ledger.proven(4.0)                                          # asked at 4, answered at 5
    ledger.moving_to(7.0, 40.0, 0.0)
    assert ledger.dark(9.0, 9.0, proven=False) == pytest.approx(500.0)
    spots = {spot.x_um: spot for spot in ledger.spots()}
    assert [spots[x].dose_j_cm2 for x in (0.0, 20.0, 40.0)] == pytest.approx([200.0, 500.0, 200.0])
    assert [spots[x].doubt_j_cm2 for x in (0.0, 20.0, 40.0)] == pytest.approx([0.0, 300.0, 200.0])


def test_light_that_nothing_ever_saw_is_in_doubt_whole_and_light_that_was_seen_to_the_end_not_at_all():
    ledger = DoseLedger(1.0)
    ledger.moving_to(0.0, 0.0, 0.0)
    ledger.light(0.0, 100.0)
    assert ledger.dark(2.0, 1.5, proven=True) == pytest.approx(150.0)      # never said to be lit: e.g. it refused
    ledger.light(3.0, 100.0)
    ledger.proven(3.0)
    assert ledger.dark(6.0, 5.0, proven=True) == 0.0
    (spot,) = ledger.spots()
    assert (spot.dose_j_cm2, spot.doubt_j_cm2) == pytest.approx((350.0, 150.0))
