"""The peers of bench_engine, run by a Python that has them: median µs per point of a map, one JSON line at the end.

Each gets the same devices (free ones here, or bare sockets to the simulators) and keeps its spectra the way its users
do: Bluesky with a callback that writes HDF5, pymmcore-plus with a handler that does, QCoDeS with its own data base.
"""

import json
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import h5py
import numpy as np

PIXELS = 2068
EXPOSURE_US = 6000
OBP_START, OBP_END = b"\xc1\xc0", b"\xc5\xc4\xc3\xc2"
CORRECTED_SPECTRUM, SET_EXPOSURE = 0x0010_1000, 0x0011_0010


class FreeDevices:
    """Answer at once."""

    counts = np.random.default_rng(1).integers(900, 1100, PIXELS).astype(np.uint16)

    def move(self, x: float, y: float) -> tuple[float, float]:
        return x, y

    def acquire(self) -> np.ndarray:
        return self.counts


class SocketDevices:
    """The simulated stage and spectrometer over bare sockets with TCP_NODELAY: the questions that our drivers ask."""

    def __init__(self, ports: dict[str, tuple[str, int]]) -> None:
        self._stage, self._spectrometer = (self._open(*ports[role]) for role in ("stage", "spectrometer"))
        self._ask("SVO 1 1 2 1\nERR?")
        self._frame(SET_EXPOSURE, struct.pack("<I", EXPOSURE_US), flags=0x0004)
        self.acquire()

    @staticmethod
    def _open(host: str, port: int) -> socket.socket:
        made = socket.create_connection((host, port))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def _ask(self, command: str) -> str:
        self._stage.sendall(command.encode() + b"\n")
        answer = self._stage.recv(4096)
        while not answer.endswith(b"\n") or answer.endswith(b" \n"):
            answer += self._stage.recv(4096)
        return answer.decode()

    def move(self, x: float, y: float) -> tuple[float, float]:
        self._ask("POS? 1 2")
        if self._ask(f"MOV 1 {x:.6f} 2 {y:.6f}\nERR?").strip() != "0":
            raise RuntimeError("the stage refused")
        while "=0" in self._ask("ONT? 1 2"):
            time.sleep(0.001)
        at = [float(line.split("=")[1]) for line in self._ask("POS? 1 2").split("\n")[:2]]
        return at[0], at[1]

    def _frame(self, message: int, data: bytes = b"", flags: int = 0) -> bytes:
        header = OBP_START + struct.pack("<HHHII", 0x1100, flags, 0, message, 1) + bytes(6)
        immediate = len(data) if len(data) <= 16 else 0
        header += struct.pack("<BB", 0, immediate) + data.ljust(16, b"\0") + struct.pack("<I", 20)
        self._spectrometer.sendall(header + bytes(16) + OBP_END)
        answer = b""
        whole = 44
        while len(answer) < whole:
            answer += self._spectrometer.recv(65536)
            if len(answer) >= 44:
                whole = 44 + struct.unpack_from("<I", answer, 40)[0]
        return answer

    def acquire(self) -> np.ndarray:
        answer = self._frame(CORRECTED_SPECTRUM)
        return np.frombuffer(answer, "<u2", PIXELS, offset=44)


def points(side: int) -> Iterator[tuple[float, float]]:
    """A serpentine map at 1 µm."""
    for row in range(side):
        columns = range(side) if row % 2 == 0 else range(side - 1, -1, -1)
        for column in columns:
            yield 20.0 + column, 20.0 + row


class Rows:
    """Spectra into an HDF5 file, one row a point; notes when each was kept."""

    def __init__(self, path: Path, count: int) -> None:
        self._file = h5py.File(path, "w")
        self._counts = self._file.create_dataset("counts", (count, PIXELS), "<u2", chunks=(1, PIXELS))
        self._position = self._file.create_dataset("position", (count, 2))
        self._stamps: list[float] = []

    def keep(self, at: tuple[float, float], counts: np.ndarray) -> None:
        row = len(self._stamps)
        self._counts[row] = counts
        self._position[row] = at
        self._stamps.append(time.perf_counter())

    def close(self) -> float:
        self._file.close()
        return median(np.diff(self._stamps)) * 1e6


def bare(devices: FreeDevices | SocketDevices, side: int, folder: Path) -> float:
    rows = Rows(folder / "bare.h5", side**2)
    for x, y in points(side):
        at = devices.move(x, y)
        rows.keep(at, devices.acquire())
    return rows.close()


def bluesky(devices: FreeDevices | SocketDevices, side: int, folder: Path) -> float:
    from bluesky import RunEngine
    from bluesky import plan_stubs as bps
    from bluesky.preprocessors import run_decorator

    class Status:
        """Done when made: the devices wait by themselves."""

        done, success, timeout = True, True, None

        def add_callback(self, callback):  # type: ignore[no-untyped-def]
            callback(self)

        def exception(self, timeout=None):  # type: ignore[no-untyped-def]
            return None

        def wait(self, timeout=None):  # type: ignore[no-untyped-def]
            """It is done."""

    class Stage:
        name, parent = "stage", None
        at = (0.0, 0.0)

        def set(self, place):  # type: ignore[no-untyped-def]
            self.at = devices.move(*place)
            return Status()

        def read(self):  # type: ignore[no-untyped-def]
            now = time.time()
            return {"x": {"value": self.at[0], "timestamp": now}, "y": {"value": self.at[1], "timestamp": now}}

        def describe(self):  # type: ignore[no-untyped-def]
            return {name: {"source": "stage", "dtype": "number", "shape": []} for name in "xy"}

        def read_configuration(self):  # type: ignore[no-untyped-def]
            return {}

        describe_configuration = read_configuration

    class Spectrometer:
        name, parent = "spectrometer", None

        def trigger(self):  # type: ignore[no-untyped-def]
            self.counts = devices.acquire()
            return Status()

        def read(self):  # type: ignore[no-untyped-def]
            return {"counts": {"value": self.counts, "timestamp": time.time()}}

        def describe(self):  # type: ignore[no-untyped-def]
            return {"counts": {"source": "spectrometer", "dtype": "array", "shape": [PIXELS]}}

        def read_configuration(self):  # type: ignore[no-untyped-def]
            return {}

        describe_configuration = read_configuration

    stage, spectrometer = Stage(), Spectrometer()
    rows = Rows(folder / "bluesky.h5", side**2)

    def keep(name, doc):  # type: ignore[no-untyped-def]
        if name == "event":
            data = doc["data"]
            rows.keep((data["x"], data["y"]), data["counts"])

    @run_decorator()
    def plan():  # type: ignore[no-untyped-def]
        for place in points(side):
            yield from bps.abs_set(stage, place, wait=True)
            yield from bps.trigger_and_read([spectrometer, stage])

    engine = RunEngine()
    engine.subscribe(keep)
    engine(plan())
    return rows.close()


def pymmcore(devices: FreeDevices | SocketDevices, side: int, folder: Path) -> float:
    import useq
    from pymmcore_plus.mda import MDARunner, PMDAEngine

    class Engine(PMDAEngine):
        """Stage and spectrometer of ours under its runner."""

        use_hardware_sequencing = False

        def setup_sequence(self, sequence):  # type: ignore[no-untyped-def]
            return None

        def event_iterator(self, events):  # type: ignore[no-untyped-def]
            return iter(events)

        def setup_event(self, event):  # type: ignore[no-untyped-def]
            self.at = devices.move(event.x_pos, event.y_pos)

        def exec_event(self, event):  # type: ignore[no-untyped-def]
            yield devices.acquire().reshape(1, -1), event, {"x": self.at[0], "y": self.at[1]}

    rows = Rows(folder / "pymmcore.h5", side**2)
    runner = MDARunner()
    runner.set_engine(Engine())
    runner.events.frameReady.connect(lambda image, event, meta: rows.keep((meta["x"], meta["y"]), image[0]))
    runner.run([useq.MDAEvent(index={"p": k}, x_pos=x, y_pos=y) for k, (x, y) in enumerate(points(side))])
    return rows.close()


def qcodes(devices: FreeDevices | SocketDevices, side: int, folder: Path) -> float:
    import qcodes as qc
    from qcodes.dataset import Measurement, initialise_or_create_database_at, load_or_create_experiment

    initialise_or_create_database_at(str(folder / "qcodes.db"))
    measurement = Measurement(exp=load_or_create_experiment("map", "film"))
    x, y = (qc.Parameter(name, set_cmd=None, get_cmd=None) for name in "xy")
    measurement.register_parameter(x)
    measurement.register_parameter(y)
    measurement.register_custom_parameter("counts", setpoints=(x, y), paramtype="array")
    stamps = []
    with measurement.run() as saver:
        for place in points(side):
            at = devices.move(*place)
            saver.add_result((x, at[0]), (y, at[1]), ("counts", devices.acquire()))
            saver.flush_data_to_database()
            stamps.append(time.perf_counter())
    return median(np.diff(stamps)) * 1e6


def main() -> None:
    what, *rest = sys.argv[1:]
    devices: FreeDevices | SocketDevices
    if what == "wire":
        devices, runs = SocketDevices(json.loads(rest.pop(0))), {"bare loop": bare, "bluesky": bluesky}
    else:
        devices = FreeDevices()
        runs = {"bare loop": bare, "bluesky": bluesky, "pymmcore-plus": pymmcore, "qcodes": qcodes}
    side, folder = int(rest[0]), Path(rest[1])
    found = {}
    for name, run in runs.items():
        took = []
        for _ in range(3):
            with tempfile.TemporaryDirectory(dir=folder) as own:
                took.append(run(devices, side, Path(own)))
        found[name] = median(took)
    print(json.dumps(found))  # noqa: T201 - the one line that is read


if __name__ == "__main__":
    main()
