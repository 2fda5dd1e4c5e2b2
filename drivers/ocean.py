"""Ocean spectrometers over the Ocean Binary Protocol: what is asked, what is believed, and in which order.

Requests and answers are in :mod:`halidescope.drivers.ocean_line`, what differs between models in
:mod:`halidescope.drivers.ocean_messages`. Sources: QE Pro data sheet 891-00000-000-05-201604 (pages 13, 21 to 29) and
the message list of the manufacturer's open C library.
"""

import struct
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pymeasure.adapters import Adapter

from halidescope.drivers.errors import LimitError, RefusedError, WrongInstrumentError
from halidescope.drivers.instrument import shown
from halidescope.drivers.obp import Frame
from halidescope.drivers.ocean_line import OBPInstrument
from halidescope.drivers.ocean_messages import HDX, Message, OceanModel
from halidescope.drivers.roles import Identity, Spectrum

AHEAD = 2     # exposures of a stream that are asked for at once: the one under way and the next


@dataclass(frozen=True)
class DarkSpectrum:
    """What the detector shows without light, at one exposure.

    Attributes
    ----------
    counts : ndarray of float64, shape (pixels,)
        Mean of the spectra.
    exposure_s : float
    spectra : int
        How many were averaged.
    """

    counts: NDArray[np.float64]
    exposure_s: float
    spectra: int


class OceanSpectrometer(OBPInstrument):
    """A spectrometer of the family. One request exposes once and returns that spectrum.

    :meth:`start` puts it into the plain state: software trigger, one scan, no smoothing.

    Parameters
    ----------
    adapter : str or Adapter
        VISA resource string, or any PyMeasure adapter.
    wavelength_origin : int
        Pixel that the wavelength coefficients count as zero.
    trigger_wait_s : float
        How long an external trigger may keep a spectrum waiting.
    """

    role: ClassVar[str] = "spectrometer"
    kind: ClassVar[OceanModel]

    def __init__(
        self,
        adapter: str | Adapter,
        name: str = "Ocean spectrometer",
        *,
        wavelength_origin: int = 0,
        trigger_wait_s: float = 10.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(adapter, name, **kwargs)
        self.wavelength_origin = wavelength_origin
        self.trigger_wait_s = trigger_wait_s
        self._forget()

    def _forget(self) -> None:
        self._pixels: int | None = None
        self._wavelength_nm: NDArray[np.float64] | None = None
        self._nonlinearity: NDArray[np.float64] | None = None
        self._limits_us: tuple[int, int, int] | None = None
        self._saturation_counts: int | None = None
        self._exposure_us: int | None = None
        self._mixed = False        # the next spectrum may hold two exposures
        self._last_data = b""
        self._averages = 1
        self._trigger = "normal"
        self._darks: dict[int, DarkSpectrum] = {}

    # --- who it is -------------------------------------------------------------------------------------------------

    def identify(self) -> Identity:
        """Ask for device name, serial number and firmware revision."""
        name = self._text(Message.DEVICE_NAME)
        if self.kind.name not in name.upper().replace(" ", "").replace("-", ""):
            raise WrongInstrumentError(
                self.device,
                f"it calls itself {shown(name)}, expected a name with {self.kind.name}; check resource and model",
            )
        serial = self._text(Message.SERIAL_NUMBER)
        firmware = self._whole(Message.FIRMWARE_REVISION, "<H")
        return Identity("Ocean Insight", name, serial, f"{firmware >> 8:x}.{firmware & 0xFF:02x}")

    def start(self) -> None:
        """Identify, put into the plain state, and read everything that stays the same."""
        self._forget()
        super().start()
        for read, write, layout, plain in (
            (Message.TRIGGER_MODE, Message.SET_TRIGGER_MODE, "<B", 0),
            (Message.AVERAGES, Message.SET_AVERAGES, "<H", 1),
            (Message.BOXCAR, Message.SET_BOXCAR, "<B", 0),
        ):
            if self._whole(read, layout) != plain:
                self.command(write, struct.pack(layout, plain))
        _ = self.wavelength_nm, self.exposure_limits_s, self.saturation_counts, self.exposure_s

    def reconnect(self, within_s: float = 2.0) -> None:
        """Open the port again, and set averages, exposure and trigger mode as they were; darks are kept."""
        exposure_us, averages, trigger, darks = self._exposure_us, self._averages, self._trigger, self._darks
        try:
            super().reconnect(within_s)
        except BaseException:       # the next attempt is to find them, too
            self._exposure_us, self._averages, self._trigger, self._darks = exposure_us, averages, trigger, darks
            raise
        self._darks = darks
        if averages != self._averages:
            self.set_averages(averages)
        if exposure_us is not None and (exposure_us != self._exposure_us or self._mixed):
            self.set_exposure(exposure_us / 1e6)
        if trigger != self._trigger:
            self.set_trigger_mode(trigger)

    # --- what it shows ---------------------------------------------------------------------------------------------

    @property
    def pixels(self) -> int:
        """Get the number of pixels in a spectrum, read once per connection."""
        if self._pixels is None:
            self._pixels = self._whole(Message.PIXELS, "<H")
        return self._pixels

    @property
    def wavelength_nm(self) -> NDArray[np.float64]:
        """Get the wavelength of every pixel in nm, shape (pixels,): the device's own polynomial of the pixel index."""
        if self._wavelength_nm is None:
            coefficients = self._coefficients(Message.WAVELENGTH_COUNT, Message.WAVELENGTH_COEFFICIENT)
            pixel = np.arange(self.pixels, dtype=np.float64) - self.wavelength_origin
            self._wavelength_nm = np.asarray(np.polynomial.polynomial.polyval(pixel, coefficients), dtype=np.float64)
        return self._wavelength_nm

    @property
    def nonlinearity(self) -> NDArray[np.float64]:
        """Get the non-linearity coefficients: corrected = counts / P(counts), on dark-subtracted counts."""
        if self._nonlinearity is None:
            self._nonlinearity = self._coefficients(Message.NONLINEARITY_COUNT, Message.NONLINEARITY_COEFFICIENT)
        return self._nonlinearity

    @property
    def exposure_limits_s(self) -> tuple[float, float]:
        """Get the shortest and longest exposure in seconds, read once per connection."""
        shortest, longest, _ = self._exposure_limits_us()
        return shortest / 1e6, longest / 1e6

    def _exposure_limits_us(self) -> tuple[int, int, int]:
        if self._limits_us is None:
            self._limits_us = (
                self._whole(Message.EXPOSURE_MIN, "<I"),
                self._whole(Message.EXPOSURE_MAX, "<I"),
                max(1, self._whole(Message.EXPOSURE_STEP, "<I")),
            )
        return self._limits_us

    @property
    def exposure_s(self) -> float:
        """Get the exposure that is set, in seconds. :meth:`set_exposure` changes it."""
        if self._exposure_us is None:
            self._exposure_us = self._whole(Message.EXPOSURE, "<I")
        return self._exposure_us / 1e6

    @property
    def saturation_counts(self) -> int:
        """Get the counts at which a pixel is saturated, read once per connection."""
        if self._saturation_counts is None:
            self._saturation_counts = self._whole(Message.SATURATION_LEVEL, "<I")
        return self._saturation_counts

    # --- what it does ----------------------------------------------------------------------------------------------

    def set_exposure(self, exposure_s: float) -> None:
        """Set the exposure in seconds, read it back, and discard the first spectrum: its exposure may be mixed.

        Raises
        ------
        LimitError
            Outside the limits; nothing was sent.
        RefusedError
            The device did not take the value.
        """
        shortest, longest, step = self._exposure_limits_us()
        if not shortest <= exposure_s * 1e6 <= longest:
            raise LimitError(
                self.device,
                f"exposure = {exposure_s:g} s asked, allowed {shortest / 1e6:g} to {longest / 1e6:g} s; "
                f"average several spectra instead of a longer exposure",
            )
        wanted_us = min(max(round(exposure_s * 1e6 / step) * step, shortest), longest)
        with self.lock:
            self._exposure_us = None
            self.command(Message.SET_EXPOSURE, struct.pack("<I", wanted_us))
            kept_us = self._whole(Message.EXPOSURE, "<I")
            if kept_us != wanted_us:
                raise RefusedError(
                    self.device,
                    f"exposure = {wanted_us} µs was acknowledged but the device says {kept_us} µs; set it again",
                )
            self._exposure_us, self._mixed = kept_us, True
            self._discard_mixed()

    def acquire(self) -> Spectrum:
        """Expose once and return the spectrum.

        Waits for the bytes, not for the clock: a simulated microscope may be faster than its exposure.

        Raises
        ------
        BadReplyError
            A truncated spectrum, or one that was sent before.
        ConnectionLostError
            Nothing came within the exposure and the time-out.
        """
        with self.lock:
            exposure_s, saturation = self.exposure_s, self.saturation_counts
            self._discard_mixed()
            counts = self._expose()
        return Spectrum(counts, exposure_s, bool(counts.max() >= saturation))

    def stream(self, count: int) -> Generator[Spectrum, None, None]:
        """Expose ``count`` times, one exposure right after the other, and give each spectrum as it comes.

        The next exposure is asked for while one is under way, so that the time between two is the instrument's own.
        Nobody else can ask the spectrometer meanwhile; close the iterator to end earlier.

        Raises
        ------
        BadReplyError, ConnectionLostError
            As :meth:`acquire`.
        """
        kind, asked = self.kind, 0
        waiting: deque[int] = deque()
        with self.lock:
            self._discard_mixed()
            exposure_s, saturation, expected = self.exposure_s, self.saturation_counts, self._expected_bytes
            try:
                for _ in range(count):
                    while asked < count and len(waiting) < AHEAD:
                        waiting.append(self.send(kind.spectrum, before=kind.before if asked == 0 else kind.before_next))
                        asked += 1
                    answer = self.answer_to(waiting.popleft(), kind.spectrum, wait_s=self._longest_s)
                    counts = self._counts(answer, expected)
                    yield Spectrum(counts, exposure_s, bool(counts.max() >= saturation))
            finally:
                if waiting:
                    self._in_step = False      # the next request first gives up what nobody waits for

    def _discard_mixed(self) -> None:
        """Expose once for nothing after a change of settings, without a trigger: whoever sends those waits for none."""
        if not self._mixed:
            return
        if self._trigger != "normal":
            self._write_trigger_mode("normal")
        self._expose()
        if self._trigger != "normal":
            self._write_trigger_mode(self._trigger)
        self._mixed = False

    def _expose(self) -> NDArray[np.unsignedinteger]:
        expected = self._expected_bytes     # may have to be asked for, and nothing is asked behind an exposure
        answer = self.query(self.kind.spectrum, wait_s=self._longest_s, before=self.kind.before)
        return self._counts(answer, expected)

    @property
    def _expected_bytes(self) -> int:
        """Get the length of a spectrum's data."""
        return self.kind.metadata_bytes + self.pixels * self.kind.count_type.itemsize

    @property
    def _longest_s(self) -> float:
        """Get how long a spectrum may take, its transfer apart."""
        trigger_s = self.trigger_wait_s if self._trigger != "normal" else 0.0
        return self.exposure_s * self._averages + trigger_s

    def _counts(self, answer: Frame, expected: int) -> NDArray[np.unsignedinteger]:
        """Counts of a spectrum that came, checked for being whole and new."""
        kind, data = self.kind, answer.data
        if len(data) != expected:
            raise self.bad_reply(kind.spectrum.name, f"{len(data)} bytes", f"{expected} bytes")
        if kind.metadata_bytes:
            self.check_metadata(data[: kind.metadata_bytes])
            data = data[kind.metadata_bytes :]
        counts = np.frombuffer(data, kind.count_type).astype(kind.count_type.newbyteorder("="))
        # noise never repeats in every pixel, unless every pixel is at its end of the range
        if data == self._last_data and counts.min() < counts.max():
            raise self.bad_reply(kind.spectrum.name, "the spectrum before, pixel for pixel", "a new exposure")
        self._last_data = data
        counts &= counts.dtype.type(kind.count_mask)
        return counts

    def check_metadata(self, metadata: bytes) -> None:
        """Raise BadReplyError if what precedes the counts shows that they are not a new spectrum."""

    # --- averages, trigger, dark -----------------------------------------------------------------------------------

    @property
    def averages(self) -> int:
        """Get how many scans the device averages into one spectrum. :meth:`set_averages` changes it."""
        return self._averages

    def set_averages(self, scans: int) -> None:
        """Have the device average so many scans into one spectrum, and read that back."""
        if not 1 <= scans <= 5000:
            raise LimitError(self.device, f"averages = {scans} asked, allowed 1 to 5000; average spectra instead")
        self._set_and_check(Message.AVERAGES, Message.SET_AVERAGES, "<H", scans)
        self._averages, self._mixed = scans, True

    @property
    def trigger_mode(self) -> str:
        """Get what starts an exposure, ``normal`` for the request itself. :meth:`set_trigger_mode` changes it."""
        return self._trigger

    def set_trigger_mode(self, mode: str) -> None:
        """Choose what starts an exposure, and read that back; the modes are those of the model."""
        if mode not in self.kind.triggers:
            allowed = ", ".join(self.kind.triggers)
            raise LimitError(self.device, f"trigger mode = {mode!r} asked, allowed {allowed}; choose one of them")
        self._write_trigger_mode(mode)
        self._trigger = mode

    def _write_trigger_mode(self, mode: str) -> None:
        self._set_and_check(Message.TRIGGER_MODE, Message.SET_TRIGGER_MODE, "<B", self.kind.triggers[mode])

    def _set_and_check(self, read: Message, write: Message, layout: str, value: int) -> None:
        with self.lock:
            self.command(write, struct.pack(layout, value))
            kept = self._whole(read, layout)
        if kept != value:
            raise RefusedError(
                self.device, f"{read.name} = {value} was acknowledged but the device says {kept}; set it again"
            )

    def take_dark(self, spectra: int = 10) -> DarkSpectrum:
        """Average spectra at the present exposure and keep them as its dark; the light must be off."""
        if spectra < 1:
            raise LimitError(self.device, f"a dark of {spectra} spectra asked, allowed 1 or more; take at least one")
        with self.lock:
            total = np.zeros(self.pixels, dtype=np.float64)
            for _ in range(spectra):
                spectrum = self.acquire()
                total += spectrum.counts
            dark = DarkSpectrum(total / spectra, spectrum.exposure_s, spectra)
            self._darks[round(dark.exposure_s * 1e6)] = dark
        return dark

    def dark(self, exposure_s: float) -> DarkSpectrum | None:
        """The dark that was kept for an exposure in seconds, or None."""
        return self._darks.get(round(exposure_s * 1e6))


class OceanHDX(OceanSpectrometer):
    """Ocean HDX: 2068 pixels of 16 bits, over TCP (port 57357), USB or RS-232."""

    model: ClassVar[str] = "ocean-hdx"
    kind: ClassVar[OceanModel] = HDX

    def __init__(self, adapter: str | Adapter, name: str = "Ocean HDX", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)
