"""What distinguishes the simulated Ocean spectrometers: detector, limits, trigger modes, spectrum messages.

Sources: python-seabreeze's device table and libseabreeze's device classes; QE Pro Data Sheet p13 (buffer messages) and
p21-29. Gains, noise and wavelength coefficients are our own, of the right order.
"""

from dataclasses import dataclass

from halidescope.simulators.detector import Detector

LINEAR = (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)       # counts / P(counts): a linear detector
SPECTRUM, RAW_SPECTRUM, PARTIAL_SPECTRUM, BUFFERED_SPECTRUM = 0x00101000, 0x00101100, 0x00102080, 0x00100928


@dataclass(frozen=True)
class OceanModel:
    """Facts of one model.

    Attributes
    ----------
    model, name, serial_number, product_id
        As we call it, and as it identifies itself.
    detector : Detector
        Its pixels and their noise.
    shortest_us, longest_us : int
        Limits of the integration time.
    trigger_modes : tuple of int
        Allowed modes; 0 is free running.
    edge_mode : int
        The mode in which an exposure begins with the rise of the trigger line.
    spectra : tuple of int
        Messages that bring a spectrum.
    form : str
        Of one pixel on the wire.
    max_counts : int
        Highest count of the converter; the saturation level is the detector's full scale.
    dark_pixels : tuple of (int, int)
        First and last of each range.
    networked, buffered, cooled : bool
        Whether it has multicast settings, a spectrum buffer with metadata, a cooler.
    """

    model: str
    name: bytes
    serial_number: bytes
    product_id: int
    detector: Detector
    shortest_us: int
    longest_us: int
    trigger_modes: tuple[int, ...]
    edge_mode: int
    spectra: tuple[int, ...]
    form: str
    max_counts: int
    dark_pixels: tuple[tuple[int, int], ...] = ()
    networked: bool = False
    buffered: bool = False
    cooled: bool = False

    @property
    def active_pixels(self) -> tuple[int, int]:
        """First and last pixel that sees light."""
        dark = {pixel for first, last in self.dark_pixels for pixel in range(first, last + 1)}
        lit = [pixel for pixel in range(self.detector.pixels) if pixel not in dark]
        return lit[0], lit[-1]


HDX = OceanModel(
    "ocean-hdx", b"HDX", b"HDX00419", 0x2003, Detector(), 6_000, 10_000_000, (0, 1, 3, 255), 1,
    (SPECTRUM, RAW_SPECTRUM, PARTIAL_SPECTRUM), "<u2", 65535, networked=True,
)
QE_PRO = OceanModel(
    "ocean-qepro", b"QEPro", b"QEP01287", 0x4004,
    Detector(
        pixels=1044, wavelength_coefficients=(345.0, 0.4480, -1.2e-5, -1.0e-9), offset_counts=1500.0,
        read_noise_counts=3.0, full_scale_counts=200_000,
    ),
    8_000, 1_600_000_000, (0, 1, 2, 3), 3, (BUFFERED_SPECTRUM,), "<u4", 2**18 - 1, ((0, 3), (1040, 1043)),
    buffered=True, cooled=True,
)
STS = OceanModel(
    "ocean-sts", b"STS", b"S09142", 0x4000,
    Detector(
        pixels=1024, wavelength_coefficients=(338.0, 0.4690, -1.6e-5, -1.5e-9), offset_counts=1450.0,
        read_noise_counts=6.0, gain_electrons_per_count=5.0, full_scale_counts=16383,
    ),
    10, 85_000_000, (0, 1, 2), 1, (SPECTRUM, RAW_SPECTRUM, PARTIAL_SPECTRUM), "<u2", 16383,
)
