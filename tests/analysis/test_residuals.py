"""A wrong endmember is visible, noise is not."""

import numpy as np
import pytest

from halidescope.analysis.flags import Flag
from halidescope.analysis.residuals import check_residuals
from halidescope.analysis.unmixing import unmix

WAVELENGTH = np.linspace(450, 750, 1024)


def band(centre, width):
    shape = np.exp(-0.5 * ((WAVELENGTH - centre) / width) ** 2)
    return shape / shape.sum()


REFERENCES = np.stack([band(585, 14), band(513, 10)])


def test_noise_passes_and_a_shifted_endmember_does_not():
    rng = np.random.default_rng(1)
    amplitudes = rng.uniform(2e4, 2e5, (20, 25, 2))
    spectra = rng.poisson(amplitudes @ REFERENCES) + 300 + rng.normal(0, 4, (20, 25, 1024))
    options = {"dark": 300.0, "read_noise": 4.0}
    good = check_residuals(spectra, REFERENCES, unmix(spectra, REFERENCES, noise="poisson", **options), **options)
    assert not (good.flags & Flag.MISFIT).any()
    assert good.reduced_chi2.mean() == pytest.approx(1.0, abs=0.01)
    assert good.whiteness_z.std() == pytest.approx(1.0, abs=0.15)
    assert np.abs(good.mean_residual / good.mean_residual_se).max() < 5
    wrong = np.stack([band(587, 14), band(513, 10)])
    bad = check_residuals(spectra, wrong, unmix(spectra, wrong, noise="poisson", **options), **options)
    assert (bad.flags & Flag.MISFIT).astype(bool).mean() > 0.95
    shape = bad.mean_residual / bad.mean_residual_se
    assert 555 < WAVELENGTH[np.argmax(shape)] < 582      # what is missing lies on the blue flank
    # wrong gain: χ² tells, whiteness does not blame the endmembers
    loud = check_residuals(spectra, REFERENCES, unmix(spectra, REFERENCES), dark=300.0, gain=4.0, read_noise=4.0)
    assert loud.reduced_chi2.mean() > 1.2


def test_flags_of_the_unmixing_are_kept():
    spectra = np.tile(1e5 * REFERENCES[0], (3, 1))
    spectra[1] = np.nan
    result = check_residuals(spectra, REFERENCES, unmix(spectra, REFERENCES))
    assert result.flags[1] == Flag.NOT_FINITE
    assert np.isnan(result.whiteness_z[1])


@pytest.mark.parametrize(("channels", "words"), [(32, "too few"), (1024, "unmixed were")])
def test_nonsense_is_refused_in_words(channels, words):
    references = REFERENCES[:, 480 : 480 + channels] if channels < 1024 else REFERENCES
    spectra = np.random.default_rng(1).poisson(100.0 + 1e5 * references[0], (3, references.shape[1]))
    unmixed = unmix(spectra, references)
    with pytest.raises(ValueError, match=words):
        check_residuals(spectra if channels < 1024 else spectra[:2], references, unmixed)
