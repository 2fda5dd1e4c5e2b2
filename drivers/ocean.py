"""Ocean spectrometers over the Ocean Binary Protocol: what is asked, what is believed, and in which order.

The frames are in :mod:`halidescope.drivers.obp`. Every request carries a new number that the answer must repeat, so an
answer to an earlier question is recognised. Sources: QE Pro data sheet 891-00000-000-05-201604 (pages 13, 21 to 29) and
the message list of the manufacturer's open C library.
"""

import itertools
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pymeasure.adapters import Adapter

from halidescope.drivers import obp
from halidescope.drivers.errors import BadReplyError, LimitError, RefusedError, WrongInstrumentError
from halidescope.drivers.instrument import WireInstrument, shown
from halidescope.drivers.roles import Identity, Spectrum

TRANSFER_WAIT_S = 1.0     # once a message has begun, its rest must follow; plus its time at 10 kB/s of a serial line
SLOWEST_BYTES_S = 1e4
FENCE_FRAMES = 100


class Message(IntEnum):
    """Message types that are used here."""

    FIRMWARE_REVISION = 0x00000090
    SERIAL_NUMBER = 0x00000100
    DEVICE_NAME = 0x00000E11
    ABORT = 0x00100000
    CORRECTED_SPECTRUM = 0x00101000
    SATURATION_LEVEL = 0x001010A0
    EXPOSURE = 0x00110000
    EXPOSURE_MIN = 0x00110001
    EXPOSURE_MAX = 0x00110002
    EXPOSURE_STEP = 0x00110003
    SET_EXPOSURE = 0x00110010
    TRIGGER_MODE = 0x00110100
    SET_TRIGGER_MODE = 0x00110110
    PIXELS = 0x00110220
    AVERAGES = 0x00120000
    SET_AVERAGES = 0x00120010
    BOXCAR = 0x00121000
    SET_BOXCAR = 0x00121010
    WAVELENGTH_COUNT = 0x00180100
    WAVELENGTH_COEFFICIENT = 0x00180101
    NONLINEARITY_COUNT = 0x00181100
    NONLINEARITY_COEFFICIENT = 0x00181101


@dataclass(frozen=True)
class OceanModel:
    """What differs between the spectrometers of the family.

    Attributes
    ----------
    name : str
        How the device names itself, at least in part.
    spectrum : Message
        The request that exposes and returns one spectrum.
    metadata_bytes : int
        Bytes in front of the counts.
    count_type : str
        NumPy type of one pixel.
    """

    name: str
    spectrum: Message
    metadata_bytes: int
    count_type: str


HDX = OceanModel("HDX", Message.CORRECTED_SPECTRUM, 0, "<u2")


class OceanSpectrometer(WireInstrument):
    """A spectrometer of the family. One request exposes once and returns that spectrum.

    :meth:`start` puts it into the plain state: software trigger, one scan, no smoothing.

    Parameters
    ----------
    adapter : str or Adapter
        VISA resource string, or any PyMeasure adapter.
    checksum : Checksum
        How requests are protected; answers are checked by the type they carry.
    """

    role: ClassVar[str] = "spectrometer"
    kind: ClassVar[OceanModel]

    def __init__(
        self,
        adapter: str | Adapter,
        name: str = "Ocean spectrometer",
        *,
        checksum: obp.Checksum = obp.Checksum.NONE,
        **kwargs: Any,
    ) -> None:
        super().__init__(adapter, name, **kwargs)
        self.checksum = checksum
        self._numbers = itertools.count(1)
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

    # --- who it is -------------------------------------------------------------------------------------------------

    def identify(self) -> Identity:
        """Ask for device name, serial number and firmware revision."""
        name = self._text(Message.DEVICE_NAME)
        if self.kind.name not in name:
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

    def reconnect(self) -> None:
        """Open the port again, and set the exposure that was set before."""
        before_us = self._exposure_us
        super().reconnect()
        if before_us is not None and before_us != self._exposure_us:
            self.set_exposure(before_us / 1e6)

    # --- the line --------------------------------------------------------------------------------------------------

    def query(
        self, message: Message, data: bytes = b"", *, wait_s: float = 0.0, flags: obp.Flag = obp.NO_FLAGS
    ) -> obp.Frame:
        """Send a request and return the frame that answers it, ``wait_s`` longer than other answers may take.

        Raises
        ------
        RefusedError
            The device said no; with its error number in words.
        BadReplyError
            Not a frame, a truncated one, or the answer to another request.
        """
        frame = obp.Frame(message, data, flags, regarding=next(self._numbers) & 0xFFFFFFFF, checksum=self.checksum)
        with self.transaction(message.name):
            self.adapter.write_bytes(obp.encode(frame))
            answer = self._receive(message, self.timeout_s + wait_s)
            if answer.regarding != frame.regarding:
                raise self.bad_reply(
                    message.name, f"an answer to request {answer.regarding}", f"the answer to request {frame.regarding}"
                )
            if answer.message != message:
                raise self.bad_reply(message.name, f"message 0x{answer.message:08x}", f"message 0x{message:08x}")
            if answer.refused:
                raise RefusedError(
                    self.device,
                    f"refused {message.name}{f' ({data.hex()})' if data else ''}: {obp.error_words(answer.error)}; "
                    f"check the value and the model",
                )
            return answer

    def _receive(self, message: Message, wait_s: float) -> obp.Frame:
        try:
            header = self._read_within(obp.HEADER_BYTES, wait_s)
            rest = obp.remaining_bytes(header)
            return obp.decode(header + self._read_within(rest, TRANSFER_WAIT_S + rest / SLOWEST_BYTES_S))
        except TimeoutError as error:
            if wait_s_over := getattr(error, "received", None):
                raise self.bad_reply(message.name, wait_s_over, "a whole message; the rest never came") from error
            raise
        except (obp.FrameError, struct.error) as error:
            raise self.bad_reply(message.name, str(error), "a whole message") from error

    def _read_within(self, count: int, wait_s: float) -> bytes:
        self.adapter.timeout_s = wait_s
        try:
            block: bytes = self.adapter.read_bytes(count)
        finally:
            self.adapter.timeout_s = self.timeout_s
        return block

    def command(self, message: Message, data: bytes) -> None:
        """Set something and wait for the acknowledgement; a refusal raises RefusedError."""
        answer = self.query(message, data, flags=obp.Flag.ACK_REQUESTED)
        if not answer.flags & obp.Flag.ACK:
            raise self.bad_reply(message.name, f"flags 0x{int(answer.flags):04x}", "an acknowledgement")

    def _unpacked(self, message: Message, layout: str, data: bytes = b"") -> Any:
        answer = self.query(message, data)
        try:
            return struct.unpack(layout, answer.data)[0]
        except struct.error as error:
            raise self.bad_reply(message.name, answer.data, f"{struct.calcsize(layout)} bytes") from error

    def _whole(self, message: Message, layout: str) -> int:
        return int(self._unpacked(message, layout))

    def _text(self, message: Message) -> str:
        data = self.query(message).data
        text = data.rstrip(b"\0")
        if not text or not text.isascii():
            raise self.bad_reply(message.name, data, "ASCII text")
        return text.decode("ascii").strip()

    def _coefficients(self, count: Message, one: Message) -> NDArray[np.float64]:
        values = [self._unpacked(one, "<f", bytes([index])) for index in range(self._whole(count, "<B"))]
        if not np.all(np.isfinite(values)):
            raise self.bad_reply(one.name, str(values), "finite coefficients")
        return np.array(values, dtype=np.float64)

    def fence(self) -> None:
        """Give up a running exposure, then skip frames and bytes up to the answer to a new question."""
        number = next(self._numbers) & 0xFFFFFFFF
        question = obp.Frame(Message.SERIAL_NUMBER, regarding=number, checksum=self.checksum)
        stream = obp.FrameStream()
        with self.transaction("resynchronising"):
            self.adapter.flush_read_buffer()
            give_up = obp.Frame(Message.ABORT, checksum=self.checksum)
            self.adapter.write_bytes(obp.encode(give_up) + obp.encode(question))
            for _ in range(FENCE_FRAMES):
                if any(frame.regarding == number for frame in stream.feed(self.adapter.read_bytes(-1))):
                    return
        raise BadReplyError(self.device, "only other messages came while resynchronising; switch it off and on")

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
            pixel = np.arange(self.pixels, dtype=np.float64)
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
            counts = self._expose(exposure_s)
        return Spectrum(counts, exposure_s, bool(counts.max() >= saturation))

    def _discard_mixed(self) -> None:
        if self._mixed:
            self._expose(self.exposure_s)
            self._mixed = False

    def _expose(self, exposure_s: float) -> NDArray[np.unsignedinteger]:
        expected = self.kind.metadata_bytes + self.pixels * np.dtype(self.kind.count_type).itemsize
        data = self.query(self.kind.spectrum, wait_s=exposure_s).data
        if len(data) != expected:
            raise self.bad_reply(self.kind.spectrum.name, f"{len(data)} bytes", f"{expected} bytes")
        counts = np.frombuffer(data, dtype=self.kind.count_type, offset=self.kind.metadata_bytes)
        # noise never repeats in every pixel, unless every pixel is at its end of the range
        if data == self._last_data and counts.min() < counts.max():
            raise self.bad_reply(self.kind.spectrum.name, "the spectrum before, pixel for pixel", "a new exposure")
        self._last_data = data
        return counts.astype(counts.dtype.newbyteorder("="))


class OceanHDX(OceanSpectrometer):
    """Ocean HDX: 2068 pixels of 16 bits, over TCP (port 57357), USB or RS-232."""

    model: ClassVar[str] = "ocean-hdx"
    kind: ClassVar[OceanModel] = HDX

    def __init__(self, adapter: str | Adapter, name: str = "Ocean HDX", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)
