"""Compile the kernels once, after installation: ``python -m halidescope.analysis.warm``.

Compiled code is kept beside the modules (or where NUMBA_CACHE_DIR says), so that the first analysis of a measurement
does not wait for a compiler. All cores are used: the four kinds of fit share hardly a kernel.
"""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from halidescope.analysis.cosmic import find_cosmic_rays
from halidescope.analysis.kinetics import fit_biexponential
from halidescope.analysis.kinetics_profile import Profile
from halidescope.analysis.peaks import MODELS, fit_peaks
from halidescope.analysis.unmixing import unmix

AXIS = np.linspace(1.8, 2.6, 512)   # so many that sums over blocks of channels are taken
REFERENCES = np.exp(-0.5 * ((AXIS - np.array([[2.1], [2.4]])) / 0.05) ** 2)
LIGHT = np.rint(1000.0 * REFERENCES + 5.0)
KINDS = (LIGHT, LIGHT.astype(np.uint16))     # floating point, and a detector's integers


def warm_peaks() -> None:
    """Every model of a peak."""
    for spectra in KINDS:
        fit_peaks(AXIS, spectra)
    fit_peaks(AXIS, np.zeros(AXIS.size))     # looked at twice
    holed = LIGHT.copy()
    holed[:, 0] = np.nan    # takes the careful way of the peak fit as well
    for model in MODELS:
        fit_peaks(AXIS, holed, model=model).evaluate(AXIS)


def warm_unmixing() -> None:
    """Least squares and Poisson, with and without darks and a saturation."""
    for spectra in KINDS:
        unmix(spectra, REFERENCES)
        unmix(spectra, REFERENCES, noise="poisson")
        unmix(spectra, REFERENCES, noise="poisson", dark=np.zeros(LIGHT.shape), saturation=60_000)
        unmix(spectra, REFERENCES, noise="poisson", dark=np.zeros(AXIS.size))   # one dark is read-only


def warm_kinetics() -> None:
    """Two exponentials, and their profile."""
    time = np.arange(20.0)
    trace = np.exp(-0.3 * time) + 0.5 * np.exp(-0.02 * time)
    fit = fit_biexponential(time, trace)
    fit_biexponential(time, trace, near=fit)
    Profile(time, trace, fit, "k1", sigma=0.01, at_time=20.0).rise(0.3)


def warm_cosmic_rays() -> None:
    """The search for hits."""
    for spectra in KINDS:
        find_cosmic_rays(spectra)


JOBS = (warm_peaks, warm_unmixing, warm_kinetics, warm_cosmic_rays)     # the longest first


def warm_up() -> None:
    """Call every compiled function once for detector integers and once for floating point."""
    for job in JOBS:
        job()


def compile_all() -> None:
    """As :func:`warm_up`, on all cores; the code is there for the next process, not for this one."""
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for done in [pool.submit(job) for job in JOBS]:
            done.result()


if __name__ == "__main__":
    compile_all()
