"""Where references come from when no film was measured: extracted, from a library; and what yields do to shares."""

import numpy as np
import pytest

from halidescope.analysis.composition import HC_EV_NM, peak_energy
from halidescope.analysis.extraction import extract_endmembers
from halidescope.analysis.library import library_spectrum, model_band
from halidescope.analysis.unmixing import unmix
from halidescope.analysis.yields import weighted_shares

ENERGY = HC_EV_NM / np.linspace(460, 680, 500)
DARK = 100.0


def mixtures(rng, shares, light=3e4):
    truth = np.array([model_band(ENERGY, float(peak_energy(x))) for x in (1.5, 0.0)])
    return truth, rng.poisson(light * shares @ truth + DARK)


@pytest.mark.parametrize("method", ["nmf", "vertex"])
def test_extracted_endmembers_are_the_pure_phases_where_those_occur(method):
    rng = np.random.default_rng(1)
    grown = np.clip(np.linspace(-0.3, 1.2, 150), 0, 1)         # pure at both ends
    shares = np.stack([1 - grown, grown], axis=1) * rng.uniform(0.5, 2, (150, 1))
    truth, spectra = mixtures(rng, shares)
    found = extract_endmembers(spectra, 2, method=method, dark=DARK, read_noise=10.0)
    for spectrum, expected in zip(found.spectra, truth, strict=True):
        assert np.corrcoef(spectrum, expected)[0, 1] > 0.995
    unmixed = unmix(spectra, found.spectra, noise="poisson", dark=DARK, read_noise=10.0)
    assert np.abs(unmixed.shares[:, 1] - grown).max() < 0.05
    assert found.purity.min() > 0.97
    assert "not measured" in found.warning
    again = extract_endmembers(spectra, 2, method=method, dark=DARK, read_noise=10.0)
    np.testing.assert_array_equal(again.spectra, found.spectra)


@pytest.mark.slow
def test_a_phase_that_is_never_pure_is_found_mixed_as_the_warning_says():
    rng = np.random.default_rng(2)
    grown = np.linspace(0, 0.6, 120)
    truth, spectra = mixtures(rng, np.stack([1 - grown, grown], axis=1))
    found = extract_endmembers(spectra.reshape(10, 12, -1), 2, method="vertex", dark=DARK, read_noise=10.0)
    own = unmix(found.spectra[1], truth).shares
    assert own[0] > 0.3          # the grown endmember still holds the pristine phase
    assert "nowhere occurs alone" in found.warning


def test_what_cannot_be_extracted_is_said():
    rng = np.random.default_rng(3)
    spectra = rng.poisson(100.0, (50, 40))
    for arguments, words in (((spectra, 1), "allowed are 2 to 6"), ((spectra[:4], 2), "at least 6"),
                             ((np.ones((20, 40)), 2), "all alike")):
        with pytest.raises(ValueError, match=words):
            extract_endmembers(*arguments)
    with pytest.raises(ValueError, match="'nmf' and 'vertex'"):
        extract_endmembers(spectra, 2, method="pca")


def test_a_library_gives_measured_compositions_and_interpolates_between_them():
    library = {x: 7.0 * model_band(ENERGY, float(peak_energy(x))) for x in (0.0, 1.0, 2.0)}
    np.testing.assert_allclose(library_spectrum(1.0, ENERGY, library), library[1.0] / 7.0, rtol=1e-12)
    between = library_spectrum(1.5, ENERGY, library)
    expected = model_band(ENERGY, float(peak_energy(1.5)))
    assert np.abs(between - expected).max() < 0.01 * expected.max()
    assert between.sum() == pytest.approx(1.0)
    with pytest.raises(ValueError, match="not within the library"):
        library_spectrum(2.5, ENERGY, library)
    with pytest.raises(ValueError, match="outside the spectrometer"):
        model_band(ENERGY, 1.2)


def test_yields_turn_shares_of_emission_into_shares_of_material_with_errors():
    rng = np.random.default_rng(4)
    amount, yields = np.array([0.8, 0.2]), np.array([1.0, 4.0])
    truth, spectra = mixtures(rng, np.tile(amount * yields, (2000, 1)))
    unmixed = unmix(spectra, truth, noise="poisson", nonnegative=False, dark=DARK)
    assert unmixed.shares[:, 1].mean() == pytest.approx(0.5, abs=0.01)
    weighted = weighted_shares(unmixed, yields)
    pull = (weighted.shares[:, 1] - 0.2) / weighted.shares_se[:, 1]
    assert abs(pull.mean()) < 0.1
    assert pull.std() == pytest.approx(1.0, abs=0.06)
    same = weighted_shares(unmixed, [3.0, 3.0])
    np.testing.assert_allclose(same.shares, unmixed.shares, rtol=1e-12)
    np.testing.assert_allclose(same.shares_se, unmixed.shares_se, rtol=1e-9)
    unsure = weighted_shares(unmixed, yields, [0.0, 0.4])
    # ten per cent of a yield move the share by 0.2 × 0.8 × 10 %
    grown = np.sqrt(unsure.shares_se[:, 1] ** 2 - weighted.shares_se[:, 1] ** 2)
    assert np.median(grown) == pytest.approx(0.016, rel=0.03)
    with pytest.raises(ValueError, match="one positive number"):
        weighted_shares(unmixed, [1.0, 0.0])
