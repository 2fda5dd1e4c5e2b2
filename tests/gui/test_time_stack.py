"""The wavelength × time picture: honest axes, gaps that stay gaps, bounded memory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halidescope.gui.time_stack import BRIDGED, TimeStack

AXIS = np.linspace(400.0, 800.0, 400)


def row(level: float) -> np.ndarray:
    return np.full(400, level)


def test_a_spectrum_is_found_at_its_time_and_wavelength() -> None:
    stack = TimeStack(AXIS, columns=100)
    for k in range(20):
        counts = np.zeros(400)
        counts[4 * k : 4 * k + 4] = 8.0
        stack.add(5.0 + 2.0 * k, counts)
    image = stack.image()
    assert stack.start_s == 5.0
    assert stack.bin_s == 2.0
    assert [int(np.argmax(line)) for line in image] == list(range(20))
    assert stack.wavelength_range_nm == (400.0, 800.0)


def test_a_pause_stays_a_gap_and_jitter_does_not_make_one() -> None:
    stack = TimeStack(AXIS)
    times = [*np.arange(0, 30, 1.0), 33.0, *np.arange(50, 60, 1.0)]
    for time_s in times:
        stack.add(time_s, row(time_s))
    image = stack.image()
    assert image[31, 0] == 29.0                      # bridged: a late spectrum
    assert np.isnan(image[35:49]).all()              # a pause
    assert image[55, 0] == 55.0


def test_merging_keeps_the_mean_and_the_span() -> None:
    stack = TimeStack(AXIS, max_rows=16)
    for k in range(100):
        stack.add(float(k), row(k))
    assert stack.rows <= 16
    assert stack.bin_s == 8.0
    image = stack.image()
    assert np.all(np.diff(image[:, 0]) > 0)
    assert image[3, 0] == pytest.approx(27.5, abs=2.0)
    assert stack.end_s == pytest.approx(100.0, abs=8.0)


@given(st.lists(st.floats(0.01, 50.0), min_size=1, max_size=200))
def test_any_times_fit_into_the_rows(steps: list[float]) -> None:
    stack = TimeStack(AXIS, max_rows=32, columns=8)
    for time_s in np.cumsum(steps):
        stack.add(float(time_s), row(7.0))
    image = stack.image()
    assert len(image) <= 32
    known = image[np.isfinite(image)]
    assert np.all(known == np.float32(7.0))
    assert BRIDGED > 0
