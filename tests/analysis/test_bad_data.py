"""Bad data in every estimator: a flag on that result or a sentence, never a silent number."""

import numpy as np
import pytest

from halidescope.analysis.absorption import first_exciton
from halidescope.analysis.arrhenius import fit_arrhenius
from halidescope.analysis.composition import composition
from halidescope.analysis.corrections import linearise, normalise, photon_variance
from halidescope.analysis.cosmic import find_cosmic_rays
from halidescope.analysis.detector import Detector
from halidescope.analysis.diffusion import fit_profile
from halidescope.analysis.flags import Flag
from halidescope.analysis.iodine import peak_map
from halidescope.analysis.kinetics_models import fit_kinetics
from halidescope.analysis.kinetics_profile import fit_joint, profile_interval
from halidescope.analysis.lifetimes import fit_decay
from halidescope.analysis.peaks import MODELS, fit_peaks
from halidescope.analysis.sizes import fit_lognormal, fit_lognormal_histogram
from halidescope.analysis.unmixing import unmix

ENERGY = np.linspace(1.7, 2.6, 256)
REFERENCES = np.stack([np.exp(-0.5 * ((ENERGY - centre) / 0.04) ** 2) for centre in (2.1, 2.42)])
SPECTRUM = np.random.default_rng(0).poisson(1000 * REFERENCES[0] + 20).astype(float)
TIME = np.linspace(0, 100, 60)
TRACE = 0.6 * np.exp(-0.1 * TIME) + 0.4 * np.exp(-0.01 * TIME)
PLACE = np.linspace(-20, 20, 81)
BELL = 100 * np.exp(-((PLACE / 5) ** 2))
BINS = np.arange(200) * 0.1
BAD_SPECTRA = {
    "dark": np.zeros(256), "negative": np.full(256, -5.0), "not finite": np.full(256, np.nan),
    "saturated": np.full(256, 65535.0),
}  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", BAD_SPECTRA)
def test_no_peak_is_found_where_there_is_none_and_neighbours_are_untouched(model, kind):
    found = fit_peaks(ENERGY, np.stack([SPECTRUM, BAD_SPECTRA[kind]]), model=model, noise="poisson")
    alone = fit_peaks(ENERGY, SPECTRUM, model=model, noise="poisson")
    assert found.flags[1]
    assert np.isnan(found.centre[1])
    assert not found.converged[1]
    assert found.centre[0] == alone.centre


@pytest.mark.parametrize("fill", [0.0, np.nan, 65535.0])
def test_a_map_of_bad_spectra_has_no_composition(fill):
    found = peak_map(1239.84 / ENERGY, np.full((2, 256), fill), medium="air", detector=Detector(saturation=65535.0))
    assert (found.peaks.flags != 0).all()
    assert (found.composition.flags != 0).all()
    assert np.isnan(found.composition.x).all()


@pytest.mark.parametrize("noise", ["gaussian", "poisson"])
@pytest.mark.parametrize("nonnegative", [True, False])
@pytest.mark.parametrize("kind", [*BAD_SPECTRA, "all but three channels saturated", "masked"])
def test_bad_spectra_have_no_shares(noise, nonnegative, kind):
    spectra = np.ma.masked_array(np.stack([SPECTRUM, SPECTRUM]))
    if kind == "masked":
        spectra[1, 75] = np.ma.masked
    elif kind in BAD_SPECTRA:
        spectra[1] = BAD_SPECTRA[kind]
    else:
        spectra[1, 3:] = 65535.0
    found = unmix(spectra, REFERENCES, noise=noise, nonnegative=nonnegative, saturation=65535.0)
    assert list(found.valid) == [True, False]
    assert np.isnan(found.shares[1]).all()
    np.testing.assert_allclose(
        found.shares[0], unmix(SPECTRUM, REFERENCES, noise=noise, nonnegative=nonnegative).shares, rtol=1e-9
    )


@pytest.mark.parametrize("profile", [np.zeros(81), np.full(81, 5.0), -BELL])
def test_a_profile_without_a_bell_is_flagged(profile):
    found = fit_profile(PLACE, profile, 10.0, 1.0)
    assert found.flags & (Flag.NO_SIGNAL | Flag.AT_BOUND)


@pytest.mark.parametrize("counts", [np.full(200, 100.0), np.random.default_rng(1).poisson(100, 200), BINS * 50])
def test_counts_that_do_not_decay_are_flagged(counts):
    assert fit_decay(BINS, counts).flags


@pytest.mark.parametrize("model", ["mono", "biexponential-plateau"])
def test_a_trace_of_zeros_is_flagged(model):
    assert fit_kinetics(TIME, np.zeros(60), model).flags & Flag.NOT_CONVERGED


def test_a_rate_too_slow_for_the_trace_is_said_to_be_at_the_bound():
    assert fit_kinetics(TIME, np.ones(60), "mono").flags & Flag.AT_BOUND


def test_what_is_not_finite_stays_so_in_corrections():
    signal = linearise(np.array([1.0, np.nan, np.inf]), [1.0, 1e-6]).signal
    assert list(np.isfinite(signal)) == [True, False, False]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: unmix(SPECTRUM, REFERENCES, noise="poisson", read_noise=np.nan), "read_noise must be"),
        (lambda: unmix(SPECTRUM, REFERENCES, noise="poisson", read_noise=-1), "read_noise must be"),
        (lambda: unmix(SPECTRUM, REFERENCES, saturation=np.nan), "saturation is nan"),
        (lambda: fit_peaks(ENERGY, SPECTRUM, noise="poisson", read_noise=-1), "read_noise must be"),
        (lambda: fit_kinetics(TIME, TRACE, "mono", sigma=np.inf), "sigma must be finite"),
        (lambda: fit_kinetics([1.0], [0.5], "mono"), "1 different times"),
        (lambda: profile_interval(TIME, TRACE, "k9"), "allowed are k1, k2"),
        (lambda: profile_interval(TIME, TRACE, "k1", level=1.5), "between 0 and 1"),
        (lambda: fit_joint(TIME, np.stack([TRACE, TRACE * np.nan]), [False, False], 0.01), "must be finite"),
        (lambda: fit_arrhenius([300.0, 300.001, 300.002], [1.0, 1e9, 1e18], [0.1] * 3), "too close together"),
        (lambda: fit_profile(np.zeros(81), BELL, 1.0), "1 good points"),
        (lambda: fit_lognormal([5.0, 5.0, 5.0]), "all lengths are the same"),
        (lambda: fit_lognormal_histogram([1, 2, 3, 4], [10, 10, 10]), "no log-normal shape"),
        (lambda: normalise(np.ones(4), exposure_s=np.nan), "finite and positive"),
        (lambda: normalise(np.ones((3, 4)), exposure_s=np.ones(2)), "does not fit"),
        (lambda: linearise(np.ones(3), []), "one finite coefficient"),
        (lambda: photon_variance(np.ones(2), gain=0.0), "gain is 0"),
        (lambda: find_cosmic_rays(SPECTRUM, dark=np.nan), "dark must be finite"),
        (lambda: find_cosmic_rays(SPECTRUM, gain=0.0), "positive, finite numbers"),
        (lambda: first_exciton(ENERGY, np.ones(256)), "same at all energies"),
        (lambda: composition(2.1, -1.0), "must not be negative"),
    ],
)
def test_nonsense_is_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()
