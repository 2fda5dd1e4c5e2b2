"""The simulated array detector: photoelectrons to counts, its wavelength coefficients, and its cooler.

Shot noise, read noise, dark current, offset and the converter's full scale; nothing about light or protocols.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from halidescope.simulators.clock import WorldClock

AMBIENT_C = 24.0
COOLING_S = 25.0            # time constant
STABLE_C = 0.1
DARK_E_PER_S, DARK_AT_C, DARK_DOUBLES_C = 2.0, -10.0, 7.0


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

    def read_noise(self, random: np.random.Generator) -> NDArray[np.float64]:
        """Offset and read noise of one reading in counts, shape (pixels,)."""
        return random.normal(self.offset_counts, self.read_noise_counts, size=self.pixels)

    def counts(self, noise: NDArray[np.float64], photoelectrons: NDArray[np.int64]) -> NDArray[np.unsignedinteger]:
        """One reading of photoelectrons with its read noise, both of shape (pixels,); stops at full scale."""
        reading = np.rint(noise + photoelectrons / self.gain_electrons_per_count)
        return np.clip(reading, 0, self.full_scale_counts).astype(
            np.uint16 if self.full_scale_counts < 2**16 else np.uint32
        )


class Cooler:
    """A thermoelectric cooler: the detector follows the set-point, or warms up to the room, exponentially."""

    def __init__(self, clock: WorldClock, setpoint_c: float = -10.0) -> None:
        self._clock = clock
        self.setpoint_c = setpoint_c
        self.enabled = False
        self._from_c = AMBIENT_C
        self._since_s = clock.now_s()

    def temperature_c(self) -> float:
        """Temperature of the detector now."""
        aim = self._aim_c()
        return aim + (self._from_c - aim) * math.exp(-(self._clock.now_s() - self._since_s) / COOLING_S)

    def stable(self) -> bool:
        """True when the cooler is on and the detector is at its set-point."""
        return self.enabled and abs(self.temperature_c() - self.setpoint_c) < STABLE_C

    def change(self, *, enabled: bool | None = None, setpoint_c: float | None = None) -> None:
        """Switch the cooler, or give it another set-point."""
        self._from_c, self._since_s = self.temperature_c(), self._clock.now_s()
        self.enabled = self.enabled if enabled is None else enabled
        self.setpoint_c = self.setpoint_c if setpoint_c is None else setpoint_c

    def dark_electrons_per_s(self) -> float:
        """Dark current of one pixel at the present temperature; it doubles every 7 K."""
        return DARK_E_PER_S * 2.0 ** ((self.temperature_c() - DARK_AT_C) / DARK_DOUBLES_C)

    def _aim_c(self) -> float:
        return self.setpoint_c if self.enabled else AMBIENT_C
