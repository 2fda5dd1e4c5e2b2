"""A simulated Ocean HDX spectrometer: what each message of the Ocean Binary Protocol does.

Sources: QE Pro Data Sheet p13, 21-29; libseabreeze and python-seabreeze for the HDX's message numbers. Queries always
answer; set-commands answer only when an acknowledgement was requested; a spectrum is sent after its exposure. Frames
are in :mod:`halidescope.simulators.obp_codec`, other messages in :mod:`halidescope.simulators.obp_messages`.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from halidescope.simulators.bench import Bench, Exposure
from halidescope.simulators.faults import FaultBoard
from halidescope.simulators.obp_codec import Flag, ObpError, Request, encode, take_requests
from halidescope.simulators.obp_messages import ObpRefusedError, Settings, commands, queries, smooth

MODEL = "ocean-hdx"
ABORT = 0x00100000
SPECTRUM, RAW_SPECTRUM = 0x00101000, 0x00101100


class OceanHdx:
    """State of the spectrometer; outlives connections."""

    role = "spectrometer"
    model = MODEL
    single_client = False

    def __init__(self, bench: Bench, faults: FaultBoard) -> None:
        self.bench = bench
        self.faults = faults
        self.settings = Settings()
        self.last_spectrum: bytes | None = None
        self.queries = queries(bench.detector, self.settings)
        self.commands = commands(self.settings)
        for fault in ("spectrometer-silent", "spectrum-truncated", "spectrum-stale"):
            faults.offer(fault)
        faults.offer("saturated", self._stray_light)

    def session(self) -> "ObpSession":
        """A parser for a new connection."""
        return ObpSession(self)

    def _stray_light(self, begins: bool) -> None:
        self.bench.stray_light = begins


@dataclass
class Pending:
    """A spectrum that was asked for; ``exposures`` are averaged."""

    request: Request
    exposures: list[Exposure] = field(default_factory=list)


class ObpSession:
    """Frames in, frames out; spectra wait for their exposures, one after the other."""

    def __init__(self, device: OceanHdx) -> None:
        self._device = device
        self._buffer = bytearray()
        self._pending: deque[Pending] = deque()

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes as they arrive."""
        self._buffer += data
        with self._device.bench.lock:
            return [reply for request in take_requests(self._buffer) for reply in self._answer(request)]

    def due_s(self) -> float | None:
        """When the first exposure in line is over."""
        return self._pending[0].exposures[-1].end_s if self._pending else None

    def collect(self) -> list[bytes]:
        """Spectra whose exposures are over."""
        device, replies = self._device, []
        with device.bench.lock:
            now = device.bench.clock.now_s()
            while self._pending and self._pending[0].exposures[-1].end_s <= now:
                replies += self._read_out(self._pending.popleft())
        return replies

    def close(self) -> None:
        """Forget the exposures that nobody waits for."""
        self._interrupt()

    def _answer(self, request: Request) -> list[bytes]:
        device = self._device
        command = request.message in device.commands
        acknowledged = Flag.ACK if request.ack_requested else Flag(0)
        if device.faults.active("spectrometer-silent"):
            return []
        try:
            if request.error:
                raise ObpRefusedError(request.error)
            if request.message in (SPECTRUM, RAW_SPECTRUM):
                return self._expose(request, acknowledged)
            if request.message == ABORT:
                interrupted = self._interrupt()
                return interrupted + ([encode(request, b"", Flag.RESPONSE | acknowledged)] if acknowledged else [])
            if request.message in device.queries:
                return [encode(request, device.queries[request.message](request.data), Flag.RESPONSE | acknowledged)]
            if not command:
                raise ObpRefusedError(ObpError.UNKNOWN_MESSAGE)
            device.commands[request.message](request.data)
            return [encode(request, b"", Flag.RESPONSE | Flag.ACK)] if request.ack_requested else []
        except ObpRefusedError as refusal:
            if (command or request.message == ABORT) and not request.ack_requested:
                return []
            return [encode(request, b"", Flag.RESPONSE | Flag.NACK, refusal.code)]

    def _expose(self, request: Request, acknowledged: Flag) -> list[bytes]:
        device, bench = self._device, self._device.bench
        if device.settings.trigger_mode:
            raise ObpRefusedError(ObpError.NOT_READY)     # nothing is connected to the trigger input
        bench.happened("exposure")
        if device.faults.active("spectrometer-silent"):
            return []
        if device.faults.active("spectrum-stale") and device.last_spectrum is not None:
            return [encode(request, device.last_spectrum, Flag.RESPONSE | acknowledged)]
        start = self._pending[-1].exposures[-1].end_s if self._pending else bench.advance()
        start += device.settings.trigger_delay_us * 1e-6
        pending = Pending(request)
        for _ in range(device.settings.scans_to_average):
            pending.exposures.append(bench.expose(device.settings.integration_us * 1e-6, start))
            start = pending.exposures[-1].end_s
        self._pending.append(pending)
        return []

    def _read_out(self, pending: Pending) -> list[bytes]:
        device = self._device
        scans = [device.bench.read_out(exposure) for exposure in pending.exposures]
        if device.faults.active("spectrometer-silent"):
            return []
        counts = np.mean(scans, axis=0)
        device.last_spectrum = smooth(counts, device.settings.boxcar)
        acknowledged = Flag.ACK if pending.request.ack_requested else Flag(0)
        reply = encode(pending.request, device.last_spectrum, Flag.RESPONSE | acknowledged)
        return [reply[:len(reply) * 3 // 5] if device.faults.active("spectrum-truncated") else reply]

    def _interrupt(self) -> list[bytes]:
        """Drop what is being exposed; whoever waits for it is told."""
        told = []
        while self._pending:
            pending = self._pending.popleft()
            for exposure in pending.exposures:
                self._device.bench.discard(exposure)
            told.append(encode(pending.request, b"", Flag.RESPONSE | Flag.NACK, ObpError.INTERRUPTED))
        return told
