"""The simulated Ocean spectrometers: what each message of the Ocean Binary Protocol does.

Sources: QE Pro Data Sheet p13, 21-29; libseabreeze and python-seabreeze for the message numbers of the models. Queries
always answer; set-commands answer only when an acknowledgement was requested; a spectrum is sent after its exposure,
in the edge mode after the exposure that the next rise of the trigger line begins. Scans and the QE Pro's buffer are in
:mod:`halidescope.simulators.obp_scans`, frames in :mod:`halidescope.simulators.obp_codec`, other messages in
:mod:`halidescope.simulators.obp_messages`.
"""

import struct
from collections import deque
from dataclasses import dataclass

import numpy as np

from halidescope.simulators.bench import Bench
from halidescope.simulators.detector import Cooler
from halidescope.simulators.faults import FaultBoard
from halidescope.simulators.obp_codec import Flag, ObpError, Request, encode, take_requests
from halidescope.simulators.obp_messages import (
    ObpRefusedError,
    Settings,
    binned,
    commands,
    cooler_commands,
    cooler_queries,
    labels,
    partial_pixels,
    queries,
    smooth,
)
from halidescope.simulators.obp_scans import Scan, Scanner
from halidescope.simulators.ocean_models import HDX, QE_PRO, STS, OceanModel

ABORT = 0x00100000
PARTIAL_SPECTRUM = 0x00102080
SOFTWARE_TRIGGER = 0x00110120
METADATA = struct.Struct("<IQIB15x")        # counter, time stamp in µs, integration time in µs, trigger mode


class Ocean:
    """State of a spectrometer; outlives connections."""

    role = "spectrometer"
    facts: OceanModel
    single_client = False

    def __init__(self, bench: Bench, faults: FaultBoard) -> None:
        self.bench = bench
        self.faults = faults
        self.model = self.facts.model
        bench.detector = self.facts.detector
        self.settings = Settings()
        self.scanner = Scanner(bench, self.settings, self.facts.edge_mode)
        self.last_spectrum: bytes | None = None
        self.queries = queries(self.facts, self.settings)
        self.commands = commands(self.facts, self.settings)
        asked, told = labels()
        self.queries |= asked
        self.commands |= told | {SOFTWARE_TRIGGER: self.scanner.pulse}
        if self.facts.buffered:
            self.queries |= self.scanner.queries()
            self.commands |= self.scanner.commands()
        if self.facts.cooled:
            self.cooler = Cooler(bench.clock)
            bench.dark_electrons_per_s = self.cooler.dark_electrons_per_s
            self.queries |= cooler_queries(self.cooler)
            self.commands |= cooler_commands(self.cooler)
        for fault in ("spectrometer-silent", "spectrum-truncated", "spectrum-stale"):
            faults.offer(fault)
        faults.offer("saturated", self._stray_light)

    def session(self) -> "ObpSession":
        """A parser for a new connection."""
        return ObpSession(self)

    def read_out(self, scan: Scan, message: int) -> bytes:
        """The averaged and smoothed counts of a scan that is over, behind its metadata if the model has them."""
        counts = smooth(scan.total_counts / scan.averages, self.settings.boxcar)
        if message == PARTIAL_SPECTRUM:
            counts = counts[partial_pixels(self.settings.partial, len(counts))]
        elif self.settings.binning:
            counts = binned(counts, self.settings.binning)
        data = np.rint(counts).astype(self.facts.form).tobytes()
        if self.facts.buffered:
            stamp_us = round(scan.exposures[-1].end_s * 1e6)
            data = METADATA.pack(scan.counter, stamp_us, scan.integration_us, self.settings.trigger_mode) + data
        self.last_spectrum = data
        return data

    def _stray_light(self, begins: bool) -> None:
        self.bench.stray_light = begins


class OceanHdx(Ocean):
    """2068 pixels, 16 bit, on the network."""

    facts = HDX


class OceanQePro(Ocean):
    """1044 pixels, 18 bit, cooled, with a buffer of spectra that carry metadata."""

    facts = QE_PRO


class OceanSts(Ocean):
    """1024 pixels, 14 bit."""

    facts = STS


@dataclass
class Pending:
    """A spectrum that was asked for."""

    request: Request
    scan: Scan


class ObpSession:
    """Frames in, frames out; spectra wait for their exposures, one after the other."""

    def __init__(self, device: Ocean) -> None:
        self._device = device
        self._buffer = bytearray()
        self._pending: deque[Pending] = deque()

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes as they arrive."""
        self._buffer += data
        with self._device.bench.lock:
            self._device.scanner.asked_s = self._device.bench.clock.now_s()
            return [reply for request in take_requests(self._buffer) for reply in self._answer(request)]

    def due_s(self) -> float | None:
        """When there is something to do for the first spectrum in line; None while it waits for a trigger."""
        return self._device.scanner.next_step_s(self._pending[0].scan) if self._pending else None

    def collect(self) -> list[bytes]:
        """Spectra whose exposures are over."""
        device, replies = self._device, []
        if not self._pending:
            return []
        with device.bench.lock:
            while self._pending and device.scanner.keep_up(self._pending[0].scan, device.bench.clock.now_s()):
                replies += self._read_out(self._pending.popleft())
        return replies

    def close(self) -> None:
        """Forget the exposures that nobody waits for."""
        with self._device.bench.lock:
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
            if request.message in device.facts.spectra:
                return self._expose(request, acknowledged)
            if request.message == ABORT:
                interrupted = self._interrupt()
                device.scanner.abort()
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
        """A spectrum from the buffer if there is one, else of a new scan."""
        device = self._device
        scan = device.scanner.take_buffered() or device.scanner.start()
        if device.faults.active("spectrometer-silent"):
            device.scanner.finish(scan)
            return []
        if device.faults.active("spectrum-stale") and device.last_spectrum is not None:
            device.scanner.finish(scan)
            return [encode(request, device.last_spectrum, Flag.RESPONSE | acknowledged)]
        self._pending.append(Pending(request, scan))
        return []

    def _read_out(self, pending: Pending) -> list[bytes]:
        device = self._device
        data = device.read_out(pending.scan, pending.request.message)
        device.scanner.finish(pending.scan)
        if device.faults.active("spectrometer-silent"):
            return []
        acknowledged = Flag.ACK if pending.request.ack_requested else Flag(0)
        reply = encode(pending.request, data, Flag.RESPONSE | acknowledged)
        return [reply[:len(reply) * 3 // 5] if device.faults.active("spectrum-truncated") else reply]

    def _interrupt(self) -> list[bytes]:
        """Drop what is being exposed; whoever waits for it is told."""
        told = []
        while self._pending:
            pending = self._pending.popleft()
            self._device.scanner.finish(pending.scan)
            told.append(encode(pending.request, b"", Flag.RESPONSE | Flag.NACK, ObpError.INTERRUPTED))
        return told
