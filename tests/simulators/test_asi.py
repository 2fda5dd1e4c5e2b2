"""The MS-2000, line by line, and driven by the asitiger client."""

import numpy as np
import pytest

from halidescope.simulators.asi_commands import Ms2000
from halidescope.simulators.asi_tiger import Tiger
from halidescope.simulators.bench import Bench
from halidescope.simulators.faults import FaultBoard


class Terminal:
    """Types commands at a controller."""

    def __init__(self, controller: Ms2000) -> None:
        self.controller = controller
        self.session = controller.session()

    def __call__(self, *commands: str) -> str:
        for command in commands:
            (reply,) = self.session.feed(command.encode() + b"\r")
            assert reply.endswith(b"\r\n")
        return reply[:-2].decode()

    def at(self) -> list[float]:
        """Position in tenths of µm."""
        code, x, y = self("W X Y").split()
        assert code == ":A"
        return [float(x), float(y)]

    def settle(self) -> None:
        self.controller.bench.clock.time_s += 5.0
        assert self("/") == "N"


@pytest.fixture
def stage(bench: Bench, faults: FaultBoard) -> Terminal:
    return Terminal(Ms2000(bench, faults))


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("V", ":A Version: USB-9.2p "), ("/", "N"), ("STATUS", "N"), ("S X?", ":A X=5.000000"),
        ("SPEED X? Y?", ":A X=5.000000 Y=5.000000"), ("SL X?", ":A X=0.000000"), ("SU Y?", ":A Y=0.200000"),
        ("RS X", ":A 10"), ("RS X?", ":A N"), ("RDSTAT X Y?", ":A 10 N"), ("TTL X?", ":A X=0"),
        ("PC X?", ":X=0.000024 A"), ("UM X?", ":X=10000.000000 A"),
        ("SCANR X? Y? R?", ":A X=0.000000 Y=0.000000 R=67.000000"),
        ("\\", ":A"), ("halt", ":A"), ("1V", ":A Version: USB-9.2p "),
    ],
)
def test_an_idle_controller(stage: Terminal, query: str, answer: str) -> None:
    assert stage(query) == answer


def test_the_build_of_a_tiger_is_separated_by_carriage_returns(stage: Terminal) -> None:
    assert stage("BU X").split("\r")[1] == "Motor Axes: X Y"


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("V", ":A v3.21 "), ("1V", ":A v3.39 "), ("BU", ":A TIGER_COMM "), ("1BU", ":A STD_XY "), ("RS X? Y?", ":A NN"),
        ("1SCANR X?", ":A X=0.000000"), ("SCANR X?", ":N-1"), ("SCAN", ":N-1"), ("TTL X?", ":N-1"),
        ("1TTL X?", ":A X=0"), ("3SCANR X?", ":N-7"), ("MC X? Y?", ":A X=1 Y=1"),
    ],
)
def test_a_tiger_has_cards(bench: Bench, faults: FaultBoard, query: str, answer: str) -> None:
    assert Terminal(Tiger(bench, faults))(query) == answer


def test_a_tiger_lists_its_axes_and_their_cards(bench: Bench, faults: FaultBoard) -> None:
    lines = Terminal(Tiger(bench, faults))("BU X").split("\r")
    assert lines[:2] == ["TIGER_COMM", "Motor Axes: X Y"]
    assert "Axis Addr: 1 1" in lines
    assert "SCAN MODULE" in Terminal(Tiger(bench, faults))("1BU X").split("\r")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("FLY X=1", 1), ("?", 1), ("M Q=1", 2), ("W", 3), ("M", 3), ("M X=abc", 4), ("M X=nan", 4), ("S Q?", 2),
        ("3M X=1", 7), ("RS", 3), ("SCAN F=3", 4), ("SCANR R=0", 4), ("SCANV Z=0", 4), ("MC X", 3), ("TTL X=7", 4),
        ("M XY=1", 2), ("M X=1_0", 4),
    ],
)
def test_refusals_carry_their_number_and_move_nothing(stage: Terminal, line: str, code: int) -> None:
    assert stage(line) == f":N-{code}"
    assert stage("/") == "N"
    assert stage.at() == pytest.approx([1000.0, 1000.0], abs=0.2)


def test_positions_are_tenths_of_a_micrometre(stage: Terminal) -> None:
    assert stage("M X=500 Y=1500.5") == ":A"
    assert stage("/") == "B"
    assert stage("RS X?") == ":A B"
    assert int(stage("RS X")[3:]) & 0b111 == 0b111
    stage.settle()
    assert stage.at() == pytest.approx([500.0, 1500.5], abs=0.2)
    assert stage.controller.bench.position_um() == pytest.approx((50.0, 150.05), abs=0.01)
    assert stage("MOVREL X=-10") == ":A"
    stage.settle()
    assert stage.at()[0] == pytest.approx(490.0, abs=0.2)
    assert stage("M X") == ":A"     # a letter alone means zero
    stage.settle()
    assert stage.at()[0] == pytest.approx(0.0, abs=0.2)
    assert stage("RS X") == ":A 138"


def test_a_target_beyond_a_soft_limit_is_truncated(stage: Terminal) -> None:
    stage("M X=2500")
    stage.settle()
    assert stage.at()[0] == pytest.approx(2000.0, abs=0.2)
    assert int(stage("RS X")[3:]) & 0xC0 == 0x40
    assert stage("SU X=0.15", "SU X?") == ":A X=0.150000"
    assert stage("SU X=99", "SU X?") == ":A X=0.200000"


def test_speed_is_kept_within_what_the_motor_can_do(stage: Terminal) -> None:
    assert stage("S X=1.5 Y=0.25", "S X? Y?") == ":A X=1.500000 Y=0.250000"
    assert stage("S X=10000", "S X?") == ":A X=7.500000"
    stage("S X=0.01", "M X=500")
    stage.controller.bench.clock.time_s += 1.0
    assert stage.at()[0] == pytest.approx(900.0, abs=1.0)       # 10 µm in a second


def test_halt_tells_whether_it_interrupted(stage: Terminal) -> None:
    stage("S X=0.01", "M X=0")
    stage.controller.bench.clock.time_s += 1.0
    assert stage("\\") == ":N-21"
    stage.controller.bench.clock.time_s += 1.0
    assert (stage("\\"), stage("/")) == (":A", "N")
    assert stage.at()[0] == pytest.approx(900.0, abs=1.0)


def test_here_moves_the_coordinates_and_not_the_stage(stage: Terminal) -> None:
    assert stage("H X=0 Y=0") == ":A"
    assert stage.at() == pytest.approx([0.0, 0.0], abs=0.2)
    assert stage.controller.bench.position_um() == pytest.approx((100.0, 100.0), abs=0.01)
    assert stage("SL X?") == ":A X=-0.100000"
    stage("M X=-200")
    stage.settle()
    assert stage.controller.bench.position_um()[0] == pytest.approx(80.0, abs=0.02)
    assert stage("! X") == ":A"
    stage.settle()
    assert stage.at()[0] == pytest.approx(-1000.0, abs=0.2)


def test_a_motor_that_is_off_fails_to_move(stage: Terminal, faults: FaultBoard) -> None:
    faults.inject("stage-servo-off")
    assert stage("M X=0") == ":N-5"
    assert stage("RS X") == ":A 8"
    assert stage("MC X+ Y+") == ":A"
    assert stage("M X=0") == ":A"


def test_a_jammed_stage_stays_busy(stage: Terminal, faults: FaultBoard) -> None:
    faults.inject("stage-stall")
    assert stage("M X=0") == ":A"
    stage.controller.bench.clock.time_s += 60.0
    assert stage("/") == "B"
    assert stage.at()[0] == pytest.approx(1000.0, abs=0.2)
    faults.clear()
    stage.settle()
    assert stage.at()[0] == pytest.approx(0.0, abs=0.2)


@pytest.mark.parametrize("serpentine", [False, True])
def test_a_raster_runs_line_by_line_with_a_trigger_each(stage: Terminal, serpentine: bool) -> None:
    bench = stage.controller.bench
    stage("S X=0.02 Y=1", f"SCAN X=1 Y=2 Z=0 F={int(serpentine)}", "SCANR X=0.02 Y=0.06 R=100")
    stage("SCANV X=0.1 Y=0.12 Z=3 F=10")
    start = bench.clock.time_s
    assert stage("SCAN") == ":A"
    way = []
    for moment in np.arange(0.0, 40.0, 0.05):
        bench.clock.time_s = start + moment
        way.append(bench.position_um())
        if stage("/") == "N":
            break
    rises = bench.triggers_s()
    assert len(rises) == 3
    step = 2.0 if serpentine else 4.0       # 40 µm at 20 µm/s, and back again in a raster
    assert np.diff(rises) == pytest.approx(step + 0.01 + (0.01 if serpentine else 0.0), abs=0.03)
    lines = sorted({round(y) for _, y in way if y > 100.5})
    assert {110, 120} <= set(lines)
    xs = np.array([x for x, _ in way[60:]])
    assert xs.min() > 19.9
    assert way[-1][0] == pytest.approx(60.0, abs=0.1)


def test_a_raster_out_of_limits_is_refused_and_halt_ends_one(stage: Terminal) -> None:
    assert stage("SCAN X=1 Y=2", "SCANR X=0 Y=0.3", "SCAN") == ":N-5"
    assert stage("SCANR X=0 Y=0.2", "SCANV X=0 Y=0.2 Z=50", "SCAN") == ":A"
    assert stage("\\") == ":N-21"
    stage.controller.bench.clock.time_s += 60.0
    assert stage("/") == "N"
    assert stage.controller.bench.triggers_s() == []


def test_asitiger_drives_it(simulate) -> None:
    """The asitiger client, only if it is installed, on a pseudo-terminal."""
    tigercontroller = pytest.importorskip("asitiger.tigercontroller")
    status = pytest.importorskip("asitiger.status")
    wires = simulate(stage="asi-ms2000", serial=True, speed=10.0)
    (path,) = [device.path for device in wires.microscope.devices if device.role == "stage"]
    tiger = tigercontroller.TigerController.from_serial_port(path)
    try:
        assert [axis.label for axis in tiger.axes()] == ["X", "Y"]
        tiger.move({"X": 1500, "Y": 250})
        tiger.wait_until_idle()
        assert tiger.where(["X", "Y"]) == pytest.approx({"X": 1500.0, "Y": 250.0}, abs=0.5)
        assert wires.connect("control").get("stage.position_um") == pytest.approx([150.0, 25.0], abs=0.05)
        assert tiger.rdstat(["X"])[0].status is status.Status.IDLE
        assert tiger.speed({"X": "?"}) == {"X": "5.000000"}
        with pytest.raises(Exception, match=":N-2"):
            tiger.move({"Q": 1})
    finally:
        tiger.connection.disconnect()
