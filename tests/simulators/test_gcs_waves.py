"""Wave generator, triggers and recorder of the E-727, as its manual's examples use them."""

import numpy as np
import pytest
from halidescope.simulators.bench import Bench
from halidescope.simulators.faults import FaultBoard
from halidescope.simulators.gcs import E727

LINE = "WAV 1 X LIN 2000 40 20 2000 1 100"


class Terminal:
    """Sends GCS lines; the servo of the first two axes is on."""

    def __init__(self, device: E727) -> None:
        self.bench = device.bench
        self.session = device.session()

    def __call__(self, *lines: str) -> str:
        """Everything that the last line brings."""
        for line in lines:
            reply = b"".join(self.session.feed(line.encode() + b"\n"))
        return reply.decode()

    def error(self) -> int:
        return int(self("ERR?"))


@pytest.fixture
def stage(bench: Bench, faults: FaultBoard) -> Terminal:
    return Terminal(E727(bench, faults))


def test_a_line_runs_for_its_servo_cycles_and_triggers_each_pixel(stage: Terminal) -> None:
    """The worked example of a line: 2000 points, WTR 400, a trigger every 10 points are 200 pixels of 200 ms."""
    stage("TWC", LINE, "WSL 1 1", "WGC 1 1", "WTR 0 400 1", "CTO 1 3 4")
    for first in range(1, 2001, 100):
        stage("TWS " + " ".join(f"1 {point} 1" for point in range(first, first + 100, 10)))
    assert stage.error() == 0
    start = stage.bench.clock.time_s
    assert stage("WGO 1 1") == ""
    assert (stage("WGO? 1"), stage("WAV? 1 1")) == ("1=1\n", "1 1=2000\n")
    assert stage.session.feed(b"\x09") == [b"1\n"]
    stage.bench.clock.time_s = start + 20.0
    assert stage.bench.position_um()[0] == pytest.approx(40.0, abs=0.05)      # half way
    assert stage.bench.position_um()[1] == pytest.approx(100.0, abs=0.01)
    stage("MOV 1 5")
    assert stage.error() == 73
    stage.bench.clock.time_s = start + 40.01
    assert stage.session.feed(b"\x09") == [b"0\n"]
    assert stage("WGO?").startswith("1=0 \n")
    assert np.array(stage.bench.triggers_s()) - start == pytest.approx(np.arange(200) * 0.2, abs=1e-9)
    assert stage.bench.position_um()[0] == pytest.approx(60.0, abs=0.01)
    stage("MOV 1 5")
    assert stage.error() == 0


def test_the_ends_of_a_line_are_rounded(stage: Terminal) -> None:
    stage(LINE)
    rows = [float(line) for line in stage("GWD? 1 2000 1").splitlines() if not line.startswith("#")]
    steps = np.diff(rows)
    assert len(rows) == 2000
    assert (rows[0], rows[-1]) == pytest.approx((20.0, 60.0))
    assert steps[0] < 0.02 * steps[1000]
    assert steps[200:1800] == pytest.approx(np.full(1600, steps[1000]), rel=0.01)


def test_a_gcs_array_has_its_header_and_line_ends(stage: Terminal) -> None:
    stage("WAV 1 X PNT 1 3 1 2.5 4")
    assert stage("GWD? 1 3 1") == (
        "# REM E-727 \n# VERSION = 1 \n# TYPE = 1 \n# SEPARATOR = 32 \n# DIM = 1 \n# SAMPLE_TIME = 0.000050 \n"
        "# NDATA = 3 \n# NAME0 = Wave Table 1 \n# END_HEADER \n1.000000 \n2.500000 \n4.000000\n"
    )


def test_waves_are_appended_and_added(stage: Terminal) -> None:
    stage("WAV 2 X LIN 5 4 10 5 1 0", "WAV 2 & LIN 5 -4 14 5 0 0")
    assert [float(line) for line in stage("GWD? 1 10 2").splitlines()[9:]] == [10, 11, 12, 13, 14, 14, 13, 12, 11, 10]
    stage("WAV 2 + LIN 10 0 1 10 1 0", "WAV 3 X RAMP 8 3 0 8 1 0 4")
    assert float(stage("GWD? 1 1 2").splitlines()[-1]) == 11.0
    assert [float(line) for line in stage("GWD? 1 8 3").splitlines()[9:]] == [0, 1, 2, 3, 3, 2, 1, 0]
    stage("WCL 2")
    assert stage("WAV? 2 1") == "2 1=0\n"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("WGO 1 1", 17), ("WAV 9 X LIN 5 1 0 5 1 0", 17), ("WAV 1 X SPIRAL 5 5", 17), ("WAV 1 X LIN 5 1", 24),
        ("WAV 1 X", 26), ("WAV 1 X LIN 5 1 0 5 1 4", 17), ("WAV 1 X LIN 1e6 1 0 5 1 0", 17), ("WSL 1 7", 17),
        ("WTR 0", 24),
        ("WTR 7 1 0", 15), ("TWS 1 5", 26), ("TWS 9 5 1", 17), ("CTO 1 3", 26), ("GWD? 1 5 4", 17), ("DRR? 1 5 1", 17),
        ("WGO 9 1", 15), ("WGC 1 1.5", 17), ("WAV 1 X PNT 1 3 1 2", 24),
    ],
)
def test_refusals(stage: Terminal, command: str, code: int) -> None:
    assert stage(command) == ""
    assert stage.error() == code


def test_a_wave_beyond_the_limits_or_without_servo_does_not_start(stage: Terminal) -> None:
    stage("WAV 1 X LIN 100 150 100 100 1 0", "WSL 1 1", "WGO 1 1")
    assert stage.error() == 7
    stage(LINE, "WOS 1 150", "WGO 1 1")
    assert stage.error() == 7
    stage("WOS 1 0", "SVO 1 0", "WGO 1 1")
    assert stage.error() == 5


def test_stopping_ends_wave_and_triggers(stage: Terminal) -> None:
    stage(LINE, "WSL 1 1", "WGC 1 0", "WTR 0 400 1", "CTO 1 3 4", "TWS 1 1 1", "WGO 1 1")
    start = stage.bench.clock.time_s
    stage.bench.clock.time_s += 90.0        # endless: in the third run
    assert len(stage.bench.triggers_s()) == 3
    assert stage.bench.position_um()[0] == pytest.approx(30.0, abs=1.5)
    stage("WGO 1 0")
    stage.bench.clock.time_s += 90.0
    assert stage("WGO? 1") == "1=0\n"
    assert np.array(stage.bench.triggers_s()) - start == pytest.approx([0.0, 40.0, 80.0])
    stage("WGO 1 1")
    stage.session.feed(b"\x18")
    assert (stage.error(), stage("WGO? 1")) == (10, "1=0\n")


def test_a_distance_trigger_fires_on_a_move(stage: Terminal) -> None:
    stage("VEL 1 20", "CTO 2 2 1 2 3 0 2 1 5 2 8 110 2 9 130")
    start = stage.bench.clock.time_s
    stage("MOV 1 140")
    stage.bench.clock.time_s += 10.0
    assert np.array(stage.bench.triggers_s()) - start == pytest.approx(np.arange(10, 31, 5) / 20.0, abs=0.005)
    stage("MOV 1 100")      # the window is for the other direction
    stage.bench.clock.time_s += 10.0
    assert len(stage.bench.triggers_s()) == 5


def test_the_recorder_has_what_the_axis_did(stage: Terminal) -> None:
    stage("WAV 1 X LIN 100 10 50 100 1 0", "WSL 1 1", "WTR 0 20 1", "DRC 1 1 1 2 1 2", "RTR 200", "WGO 1 1")
    stage.bench.clock.time_s += 1.0
    lines = stage("DRR? 1 10 1 2").splitlines()
    rows = np.array([[float(value) for value in line.split()] for line in lines if not line.startswith("#")])
    assert "# SAMPLE_TIME = 0.010000 " in lines
    assert rows[:, 0] == pytest.approx(50.0 + np.arange(10) * 10.0 * 10.0 / 99.0, abs=1e-5)
    assert rows[:, 1] == pytest.approx(rows[:, 0], abs=0.01)
