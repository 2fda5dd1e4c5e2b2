"""The simulated array detector: photoelectrons to counts, and its wavelength coefficients.

Shot noise, read noise, offset, a 16 bit converter and its full scale; nothing about light or protocols.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Detector:
    """An array detector of an Ocean HDX kind.

    Attributes
    ----------
    pixels : int
        Number of pixels; wavelength ascends with the pixel number.
    wavelength_coefficients : tuple of float
        ``λ = Σ c_i pixel^i`` in nm; single precision, as the instrument stores them.
    offset_counts, read_noise_counts : float
        Electronic offset, and the standard deviation of the read noise.
    gain_electrons_per_count : float
        Photoelectrons per count.
    full_scale_counts : int
        Highest count of the converter; also the saturation level.
    """

    pixels: int = 2068
    wavelength_coefficients: tuple[float, ...] = (350.0, 0.2285, -5.0e-6, -2.0e-10)
    offset_counts: float = 1000.0
    read_noise_counts: float = 4.0
    gain_electrons_per_count: float = 1.0
    full_scale_counts: int = 65535
    wavelength_nm: NDArray[np.float64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        stored = np.array(self.wavelength_coefficients, dtype=np.float32).astype(np.float64)
        pixel = np.arange(self.pixels, dtype=np.float64)
        object.__setattr__(self, "wavelength_nm", np.polynomial.polynomial.polyval(pixel, stored))

    def counts(self, electrons: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.uint16]:
        """One reading of ``electrons`` (mean photoelectrons), shape (pixels,); stops at full scale."""
        reading = random.normal(self.offset_counts, self.read_noise_counts, size=self.pixels)
        reading += random.poisson(electrons) / self.gain_electrons_per_count
        return np.clip(np.rint(reading), 0, self.full_scale_counts).astype(np.uint16)
