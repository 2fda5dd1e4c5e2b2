"""A simulated PI E-727 piezo controller with a P-545 stage, GCS 2.0: the parser and its rules.

Sources: PI E-727 User Manual E727T0005 (p69 argument limit, p73 queries, p80 on-target, p108 servo cycle); PIPython's
GCS 2 client for framing and error numbers. Commands never answer, an unknown query answers nothing: only the error
register tells. Bytes below 32 other than the line feed are commands of their own, even in the middle of a line. The
commands themselves are in :mod:`halidescope.simulators.gcs_commands` and :mod:`halidescope.simulators.gcs_waves`.
"""

from halidescope.simulators.bench import Bench
from halidescope.simulators.faults import FaultBoard
from halidescope.simulators.gcs_commands import (
    LONGEST_LINE,
    MOST_ARGUMENTS,
    Controller,
)
from halidescope.simulators.gcs_errors import GcsError, GcsRefusedError
from halidescope.simulators.gcs_waves import wave_commands
from halidescope.simulators.wire import PromptSession

MOVING, READY, GENERATING, STATUS, STOP_ALL, ABORT = 0x05, 0x07, 0x09, 0x04, 0x18, 0x1B
IS_READY = b"\xb1\n"
LINE_FEED = 0x0A
MODEL = "pi-e727"


class GcsSession(PromptSession):
    """Lines and single bytes in, answers out; an answer of several lines is one reply."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._line = bytearray()
        self._overflow = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes as they arrive."""
        replies = []
        with self._controller.bench.lock:
            for byte in data:
                reply = self._take(byte)
                if reply:
                    replies.append(reply)
        return replies

    def _take(self, byte: int) -> bytes:
        if byte == LINE_FEED:
            line, overflow = bytes(self._line), self._overflow
            self._line.clear()
            self._overflow = False
            if overflow:
                self._controller.error = GcsError.LINE_TOO_LONG
                return b""
            return self._run(line)
        if byte < 32:
            return self._single(byte)
        if len(self._line) < LONGEST_LINE:
            self._line.append(byte)
        else:
            self._overflow = True
        return b""

    def _single(self, byte: int) -> bytes:
        controller = self._controller
        if byte == MOVING:
            return f"{controller.moving_mask():x}\n".encode()
        if byte == READY:
            return IS_READY
        if byte == GENERATING:
            return f"{controller.generating_mask():x}\n".encode()
        if byte == STATUS:
            return f"0x{controller.moving_mask():04x}\n".encode()
        if byte in (STOP_ALL, ABORT):
            controller.stop(list(controller.axes))
        return b""      # other control bytes mean nothing

    def _run(self, line: bytes) -> bytes:
        words = [word.decode("ascii", errors="replace") for word in line.split()]
        if not words:
            return b""
        controller = self._controller
        word, arguments = words[0].upper(), words[1:]
        try:
            if word not in controller.commands:
                raise GcsRefusedError(GcsError.UNKNOWN_COMMAND)
            if len(arguments) > MOST_ARGUMENTS:
                raise GcsRefusedError(GcsError.WRONG_NUMBER_OF_PARAMETERS)
            lines = controller.commands[word].run(controller, arguments)
        except GcsRefusedError as refusal:
            controller.error = refusal.code
            return b""
        return " \n".join(lines).encode("ascii") + b"\n" if lines else b""


class E727(Controller):
    """The controller as a device on the wire; it serves one client at a time."""

    role = "stage"
    model = MODEL
    single_client = True

    def __init__(self, bench: Bench, faults: FaultBoard) -> None:
        super().__init__(bench)
        self.commands |= wave_commands(self)
        faults.offer("stage-stall", self.stall)
        faults.offer("stage-servo-off", lambda begins: self.overflow() if begins else None)

    def session(self) -> GcsSession:
        """A parser for a new connection."""
        return GcsSession(self)
