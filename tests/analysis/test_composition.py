"""The paper's two formulas, their inverse, and wavelengths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halidescope.analysis.composition import band_gap, composition, energy_ev, iodine_fraction, peak_energy
from halidescope.analysis.flags import Flag


def test_formulas_give_the_values_of_the_source():
    assert peak_energy(0) == 2.42
    assert peak_energy(1) == pytest.approx(2.26)
    assert peak_energy(1.5) == pytest.approx(2.105)
    assert peak_energy(3) == pytest.approx(1.70)
    assert band_gap(0.36) == pytest.approx(2.283, abs=5e-4)
    np.testing.assert_allclose(band_gap([0.0, 1.0]), [2.46, 1.84])


@given(st.floats(0, 3))
def test_iodine_fraction_inverts_the_peak_energy(x):
    assert iodine_fraction(peak_energy(x)) == pytest.approx(x, abs=1e-7)


def test_energies_of_no_composition_are_flagged_never_clipped():
    found = composition([2.43, 1.69, np.nan, 2.10], 0.001)
    assert list(found.flags) == [Flag.OUTSIDE, Flag.OUTSIDE, Flag.NOT_FINITE, 0]
    assert np.isnan(found.x[:3]).all()
    slope = -0.4 * found.x[3] + 0.12 * found.x[3] ** 2
    assert found.x_se[3] == pytest.approx(0.001 / abs(slope), rel=1e-3)


def test_the_error_stays_finite_where_the_slope_vanishes():
    found = composition(2.42, 0.001)
    assert found.x == pytest.approx(0, abs=1e-12)
    assert 0.02 < found.x_se < 0.08
    assert found.flags == 0


@pytest.mark.parametrize("call", [lambda: peak_energy(3.2), lambda: peak_energy([-0.1, 1]), lambda: band_gap(1.2)])
def test_contents_outside_are_refused(call):
    with pytest.raises(ValueError, match="must lie in 0"):
        call()


def test_wavelengths_become_energies():
    assert energy_ev(513.0) == pytest.approx(2.41685, abs=1e-5)
    # n(589 nm) = 1.0002771 (standard air): the difference is 0.58 meV at 2.1 eV
    assert energy_ev(589.0) - energy_ev(589.0, "air") == pytest.approx(5.83e-4, rel=2e-3)
    with pytest.raises(ValueError, match="positive"):
        energy_ev([500, -1])
    with pytest.raises(ValueError, match="'water'"):
        energy_ev(500, "water")
