"""Compile the kernels once, after installation: ``python -m halidescope.analysis.warm``.

Compiled code is kept beside the modules (or where NUMBA_CACHE_DIR says), so that the first analysis of a measurement
does not wait for a compiler.
"""

import numpy as np

from halidescope.analysis.cosmic import find_cosmic_rays
from halidescope.analysis.kinetics import fit_biexponential
from halidescope.analysis.peaks import MODELS, fit_peaks
from halidescope.analysis.unmixing import unmix


def warm_up() -> None:
    """Call every compiled function once for detector integers and once for floating point."""
    axis = np.linspace(1.8, 2.6, 512)   # so many that sums over blocks of channels are taken
    references = np.exp(-0.5 * ((axis - np.array([[2.1], [2.4]])) / 0.05) ** 2)
    light = np.rint(1000.0 * references + 5.0)
    for spectra in (light, light.astype(np.uint16)):
        unmix(spectra, references)
        unmix(spectra, references, noise="poisson")
        unmix(spectra, references, noise="poisson", dark=np.zeros(light.shape), saturation=60_000)
        unmix(spectra, references, noise="poisson", dark=np.zeros(axis.size))   # one dark is read-only
        find_cosmic_rays(spectra)
        fit_peaks(axis, spectra)
    holed = light.copy()
    holed[:, 0] = np.nan    # takes the careful way of the peak fit as well
    for model in MODELS:
        fit_peaks(axis, holed, model=model).evaluate(axis)
    time = np.arange(20.0)
    fit_biexponential(time, np.exp(-0.3 * time) + 0.5 * np.exp(-0.02 * time))


if __name__ == "__main__":
    warm_up()
