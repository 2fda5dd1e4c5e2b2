"""Requests and answers of the Ocean Binary Protocol on a line.

Frames are in :mod:`halidescope.drivers.obp`. Every request carries a new number that the answer must repeat, so that an
answer to an earlier question is recognised. What is asked is in :mod:`halidescope.drivers.ocean`.
"""

import itertools
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymeasure.adapters import Adapter

from halidescope.drivers import obp
from halidescope.drivers.errors import BadReplyError, RefusedError
from halidescope.drivers.instrument import WireInstrument
from halidescope.drivers.ocean_messages import Message

TRANSFER_WAIT_S = 1.0     # once a message has begun, its rest must follow; plus its time at 10 kB/s of a serial line
SLOWEST_BYTES_S = 1e4
FENCE_FRAMES = 100


class OBPInstrument(WireInstrument):
    """An instrument that speaks the Ocean Binary Protocol.

    Parameters
    ----------
    adapter : str or Adapter
        VISA resource string, or any PyMeasure adapter.
    checksum : Checksum
        How requests are protected; answers are checked by the type they carry.
    """

    def __init__(
        self, adapter: str | Adapter, name: str = "Ocean Binary Protocol", *,
        checksum: obp.Checksum = obp.Checksum.NONE, **kwargs: Any,
    ) -> None:
        super().__init__(adapter, name, **kwargs)
        self.checksum = checksum
        self._numbers = itertools.count(1)

    def query(
        self, message: Message, data: bytes = b"", *, wait_s: float = 0.0, flags: obp.Flag = obp.NO_FLAGS,
        before: tuple[Message, ...] = (),
    ) -> obp.Frame:
        """Send a request and return the frame that answers it, ``wait_s`` longer than other answers may take.

        Commands in ``before`` go ahead of it in the same packet; they are not answered.

        Raises
        ------
        RefusedError
            The device said no; with its error number in words.
        BadReplyError
            Not a frame, a truncated one, or the answer to another request.
        """
        with self.lock:
            return self.answer_to(self.send(message, data, flags=flags, before=before), message, data, wait_s=wait_s)

    def send(
        self, message: Message, data: bytes = b"", *, flags: obp.Flag = obp.NO_FLAGS, before: tuple[Message, ...] = ()
    ) -> int:
        """Send a request without waiting for its answer; returns its number, for :meth:`answer_to`."""
        frame = obp.Frame(message, data, flags, regarding=next(self._numbers) & 0xFFFFFFFF, checksum=self.checksum)
        with self.transaction(message.name):
            ahead = b"".join(obp.encode(obp.Frame(each, checksum=self.checksum)) for each in before)
            self.adapter.write_bytes(ahead + obp.encode(frame))
        return frame.regarding

    def answer_to(self, number: int, message: Message, data: bytes = b"", *, wait_s: float = 0.0) -> obp.Frame:
        """The frame that answers a request that was sent, of those without an answer the first; see :meth:`query`."""
        with self.transaction(message.name):
            answer = self._receive(message, self.timeout_s + wait_s)
            if answer.regarding != number:
                raise self.bad_reply(
                    message.name, f"an answer to request {answer.regarding}", f"the answer to request {number}"
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
