"""References that sit a little wrong: shares stay right when the model may shift and broaden them."""

from dataclasses import replace

import numpy as np
import pytest

from halidescope.analysis.composition import HC_EV_NM
from halidescope.analysis.flags import Flag
from halidescope.analysis.nuisance import nuisance_terms, unmix_with_nuisance
from halidescope.analysis.residuals import check_residuals
from halidescope.analysis.unmixing import unmix

WAVELENGTH = np.linspace(470, 660, 800)
ENERGY = HC_EV_NM / WAVELENGTH
BANDS = ((2.10, 0.034), (2.417, 0.030))
LIGHT = 2e5


def band(centre, sigma, energy=ENERGY):
    """Counts per channel of a band that is Gaussian over energy, unit sum."""
    counts = np.exp(-0.5 * ((energy - centre) / sigma) ** 2) * np.abs(np.gradient(energy))
    return counts / counts.sum()


def bands(shift=0.0, broadening=0.0):
    return np.array([band(c + shift, np.sqrt(s**2 + broadening)) for c, s in BANDS])


def test_terms_are_the_first_order_of_a_shifted_and_broadened_band():
    terms = nuisance_terms(bands(), ENERGY, broadening=True)
    step, growth = 1e-4, 1e-6
    shifted = (bands(step) - bands(-step)) / (2 * step)
    broadened = (bands(0, growth) - bands(0, -growth)) / (2 * growth)
    for found, expected in ((terms[:2], shifted), (terms[2:], broadened)):
        assert np.abs(found - expected).max() < 0.01 * np.abs(expected).max()
    assert np.abs(terms.sum(axis=1)).max() < 1e-3 * np.abs(terms).sum(axis=1).max()   # they carry no area
    falling = nuisance_terms(bands()[:, ::-1], ENERGY[::-1], broadening=True)
    np.testing.assert_allclose(falling[:, ::-1], terms, rtol=1e-6, atol=1e-9 * np.abs(terms).max())


def test_shares_stay_unbiased_when_a_reference_is_off_by_a_millielectronvolt():
    rng = np.random.default_rng(3)
    share = 0.35
    truth = bands()
    references = np.array([band(2.10 + 1e-3, 0.034), truth[1]])      # the first sits 1 meV too high
    spectra = rng.poisson(LIGHT * np.array([1 - share, share]) @ truth + 20.0, (800, WAVELENGTH.size))
    plain = unmix(spectra, references, noise="poisson", dark=20.0, nonnegative=False)
    found = unmix_with_nuisance(spectra, references, ENERGY, dark=20.0)
    pull = (found.unmixing.shares[:, 1] - share) / found.unmixing.shares_se[:, 1]
    assert abs(pull.mean()) < 4 / np.sqrt(len(pull))
    assert pull.std() == pytest.approx(1.0, abs=0.06)
    shift = (found.shift_ev[:, 0] + 1e-3) / found.shift_ev_se[:, 0]
    assert abs(shift.mean()) < 0.15
    assert shift.std() == pytest.approx(1.0, abs=0.06)
    unmoved = found.shift_ev[:, 1] / found.shift_ev_se[:, 1]
    assert abs(unmoved.mean()) < 4 / np.sqrt(len(pull))
    assert np.median(found.shift_ev_se[:, 0]) < 2e-4
    wrong = check_residuals(spectra, references, plain, dark=20.0)
    right = check_residuals(
        spectra, found.basis, replace(found.unmixing, amplitudes=found.coefficients), dark=20.0
    )
    assert np.median(wrong.whiteness_z) > 3 + np.median(right.whiteness_z)
    assert abs(right.reduced_chi2.mean() - 1) < 0.02


def test_close_bands_are_biased_without_the_terms_and_not_with_them():
    rng = np.random.default_rng(8)
    energy = HC_EV_NM / np.linspace(590, 760, 700)
    truth = np.array([band(1.92, 0.030, energy), band(1.80, 0.028, energy)])    # segregation: the bands overlap
    references = np.array([band(1.921, 0.030, energy), truth[1]])
    spectra = rng.poisson(4e6 * np.array([0.5, 0.5]) @ truth, (400, energy.size))
    plain = unmix(spectra, references, noise="poisson", nonnegative=False)
    found = unmix_with_nuisance(spectra, references, energy)
    bias = (plain.shares[:, 1].mean() - 0.5) / np.median(plain.shares_se[:, 1])
    assert abs(bias) > 3
    pull = (found.unmixing.shares[:, 1] - 0.5) / found.unmixing.shares_se[:, 1]
    assert abs(pull.mean()) < 0.25
    assert np.median(found.unmixing.shares_se[:, 1]) > np.median(plain.shares_se[:, 1])   # what is not known, costs


def test_broadening_is_found_with_its_error():
    rng = np.random.default_rng(4)
    growth = 8e-5
    truth = np.array([band(2.10, np.sqrt(0.034**2 + growth)), bands()[1]])
    spectra = rng.poisson(LIGHT * np.array([0.6, 0.4]) @ truth, (500, WAVELENGTH.size))
    found = unmix_with_nuisance(spectra, bands(), ENERGY, broadening=True)
    assert np.median(found.broadening_ev2[:, 0]) == pytest.approx(growth, rel=0.08)
    pull = (found.broadening_ev2[:, 1]) / found.broadening_ev2_se[:, 1]
    assert abs(pull.mean()) < 0.25
    assert pull.std() == pytest.approx(1.0, abs=0.12)
    alone = unmix_with_nuisance(spectra, bands(), ENERGY, shift=False, broadening=True)
    assert np.isnan(alone.shift_ev).all()
    assert np.median(alone.broadening_ev2[:, 0]) == pytest.approx(growth, rel=0.08)


def test_bad_pixels_are_flagged_and_weak_bands_claim_no_shift():
    rng = np.random.default_rng(5)
    spectra = rng.poisson(LIGHT * np.array([1.0, 0.0]) @ bands(), (2, 3, WAVELENGTH.size)).astype(float)
    spectra[0, 1, 40] = np.nan
    spectra[1, 2, :] = 0.0
    top = spectra[1, 0].max()
    found = unmix_with_nuisance(spectra, bands(), ENERGY, nonnegative=True, read_noise=3.0, saturation=top)
    assert found.unmixing.flags[0, 1] == Flag.NOT_FINITE
    assert np.isnan(found.unmixing.shares[0, 1]).all()
    assert found.unmixing.flags[1, 2] & Flag.NO_SIGNAL
    assert found.unmixing.flags[1, 0] & Flag.SATURATED
    assert np.isnan(found.shift_ev[..., 1]).all()
    assert (found.unmixing.amplitudes[0, [0, 2]] >= 0).all()
    assert abs(found.unmixing.shares[1, 0, 1]) < 0.02


def test_least_squares_with_the_terms_is_that_of_numpy():
    rng = np.random.default_rng(6)
    spectra = rng.normal(1000 * bands().sum(axis=0), 0.5, (5, WAVELENGTH.size))
    found = unmix_with_nuisance(spectra, bands(), ENERGY, noise="gaussian")
    expected, squares, _, _ = np.linalg.lstsq(found.basis.T, spectra.T, rcond=None)
    np.testing.assert_allclose(found.coefficients, expected.T, rtol=1e-8)
    inverse = np.linalg.inv(found.basis @ found.basis.T)
    errors = np.sqrt(np.outer(squares / (WAVELENGTH.size - 4), np.diag(inverse)[:2]))
    np.testing.assert_allclose(found.unmixing.amplitudes_se, errors, rtol=1e-8)


@pytest.mark.parametrize(("change", "words"), [
    ({"shift": False}, "use unmix"),
    ({"noise": "pink"}, "allowed are"),
    ({"gain": 0.0}, "must be positive"),
    ({"energy_ev": ENERGY[:-1]}, "799 energies"),
    ({"energy_ev": np.ones(WAVELENGTH.size)}, "rise or fall"),
    ({"spectra": np.ones((3, 5))}, "channels"),
])
def test_what_cannot_be_done_is_said(change, words):
    arguments = {"spectra": np.ones((2, WAVELENGTH.size)), "references": bands(), "energy_ev": ENERGY} | change
    with pytest.raises(ValueError, match=words):
        unmix_with_nuisance(**arguments)
