"""The Zaber chain, frame by frame, and driven by Zaber's own client library."""

import numpy as np
import pytest

from halidescope.simulators.bench import Bench
from halidescope.simulators.faults import FaultBoard
from halidescope.simulators.zaber import MICROSTEP_UM
from halidescope.simulators.zaber_wire import Zaber, lrc


class Terminal:
    """Sends commands to a chain."""

    def __init__(self, chain: Zaber) -> None:
        self.chain = chain
        self.session = chain.session()

    def __call__(self, *commands: str) -> list[str]:
        """The last command's replies."""
        for command in commands:
            replies = self.session.feed(command.encode() + b"\n")
        return b"".join(replies).decode().splitlines()

    def one(self, *commands: str) -> str:
        (reply,) = self(*commands)
        return reply

    def home(self) -> None:
        self("/home")
        self.chain.bench.clock.time_s += 1.0
        assert [reply.split()[3:5] for reply in self("/")] == [["IDLE", "--"]] * 2


@pytest.fixture
def stage(bench: Bench, faults: FaultBoard) -> Terminal:
    return Terminal(Zaber(bench, faults))


@pytest.mark.parametrize(
    ("command", "replies"),
    [
        ("/", ["@01 0 OK IDLE WR 0", "@02 0 OK IDLE WR 0"]),
        ("/0 0 00:00", ["@01 0 00 OK IDLE WR 0", "@02 0 00 OK IDLE WR 0"]),
        ("/1 1 02 get pos", ["@01 1 02 OK IDLE WR 2560"]),
        ("/2 get pos", ["@02 0 OK IDLE WR 2560"]),
        ("/1 1 5 get limit.max", ["@01 1 05 OK IDLE WR 5120"]),
        ("/1 get maxspeed", ["@01 0 OK IDLE WR 209715"]),
        ("/1 get resolution", ["@01 0 OK IDLE WR 256"]),
        ("/1 get deviceid", ["@01 0 OK IDLE WR 50952"]),
        ("/1 1 get deviceid", ["@01 1 RJ IDLE WR DEVICEONLY"]),
        ("/1 get no.such.thing", ["@01 0 RJ IDLE WR BADCOMMAND"]),
        ("/1 dance", ["@01 0 RJ IDLE WR BADCOMMAND"]),
        ("/1 2 get pos", ["@01 2 RJ IDLE WR BADAXIS"]),
        ("/1 set pos 5", ["@01 0 RJ IDLE WR BADCOMMAND"]),
        ("/1 set maxspeed fast", ["@01 0 RJ IDLE WR BADDATA"]),
        ("/1 set maxspeed 0", ["@01 0 RJ IDLE WR BADDATA"]),
        ("/1 set limit.max 9999", ["@01 0 RJ IDLE WR BADDATA"]),
        ("/1 1 warnings", ["@01 1 OK IDLE WR 01 WR"]),
        ("/7 get pos", []),
        ("1 get pos", []),
        ("noise /2 1 get pos", ["@02 1 OK IDLE WR 2560"]),
    ],
)
def test_frames(stage: Terminal, command: str, replies: list[str]) -> None:
    assert stage(command) == replies


def test_checksums_as_zabers_own_library_makes_them(stage: Terminal) -> None:
    assert lrc(b"1 1 04 move abs 100") == "1C"
    assert lrc(b"1 0 01 get comm.packet.size.max") == "CF"
    assert stage("/1 1 03 get pos:29") == ["@01 1 03 OK IDLE WR 2560"]
    assert stage("/1 1 03 get pos:28") == []
    assert stage("/1 1 03 get pos:2") == []
    assert stage("/1 set comm.checksum 1") == ["@01 0 OK IDLE WR 0:" + lrc(b"01 0 OK IDLE WR 0")]
    assert stage("/2 get comm.checksum") == ["@02 0 OK IDLE WR 0"]


def test_absolute_moves_need_a_reference(stage: Terminal) -> None:
    assert stage("/1 1 move abs 100") == ["@01 1 RJ IDLE WR BADDATA"]
    assert stage("/1 1 04 home") == ["@01 1 04 OK BUSY WR 0"]
    stage.chain.bench.clock.time_s += 1.0
    assert stage("/1 1 05") == ["@01 1 05 OK IDLE -- 0"]
    assert stage("/1 1 get pos") == ["@01 1 OK IDLE -- 0"]
    assert stage("/1 1 move abs 2048") == ["@01 1 OK BUSY -- 0"]
    stage.chain.bench.clock.time_s += 1.0
    assert stage("/1 1 get pos") == ["@01 1 OK IDLE -- 2048"]
    assert stage.chain.bench.position_um()[0] == pytest.approx(80.0, abs=0.01)
    assert stage("/2 1") == ["@02 1 OK IDLE WR 0"]      # each device has its own


def test_a_reference_search_that_is_interrupted_finds_nothing(stage: Terminal) -> None:
    stage("/1 set maxspeed 1000", "/1 home")
    stage.chain.bench.clock.time_s += 0.2
    stage("/1 stop")
    stage.chain.bench.clock.time_s += 0.2
    assert stage("/1 warnings") == ["@01 0 OK IDLE WR 02 WR NI"]


def test_moves_and_limits(stage: Terminal) -> None:
    stage.home()
    for command in ("move abs 5121", "move abs -1", "move rel -1", "move abs 1.5", "move abs ten"):
        assert stage.one(f"/1 1 {command}") == "@01 1 RJ IDLE -- BADDATA"
    for command in ("move", "move abs", "move up 5", "move abs 1 2"):
        assert stage.one(f"/1 1 {command}") == "@01 1 RJ IDLE -- BADCOMMAND"
    stage("/1 move max", "/2 move rel 256")
    stage.chain.bench.clock.time_s += 1.0
    assert stage("/get pos") == ["@01 0 OK IDLE -- 5120", "@02 0 OK IDLE -- 256"]
    assert stage.chain.bench.position_um() == pytest.approx((200.0, 10.0), abs=0.01)


def test_velocity_in_native_units(stage: Terminal) -> None:
    stage.home()
    native = round(10.0 / MICROSTEP_UM * 1.6384)        # 10 µm/s
    stage(f"/1 move vel {native}")
    stage.chain.bench.clock.time_s += 2.0
    assert stage.chain.bench.position_um()[0] == pytest.approx(20.0, abs=0.1)
    assert stage.one("/1 1").split()[3] == "BUSY"
    stage("/1 stop")
    stage.chain.bench.clock.time_s += 1.0
    assert stage.one("/1 1") == "@01 1 OK IDLE NI 0"
    assert stage.one("/1 warnings clear", "/1 1") == "@01 1 OK IDLE -- 0"
    stage(f"/1 set maxspeed {native}", "/1 move rel 256")
    stage.chain.bench.clock.time_s += 0.5
    assert stage.chain.bench.position_um()[0] == pytest.approx(25.0, abs=0.1)


def test_alerts_come_when_a_move_ends(stage: Terminal) -> None:
    stage.home()
    stage("/1 set comm.alert 1", "/1 set comm.checksum 1")
    start = stage.chain.bench.clock.time_s
    stage("/1 move abs 2560", "/2 move abs 2560")
    due = stage.session.due_s()
    assert due == pytest.approx(start + 100.0 / 5000.0, abs=0.05)
    assert stage.session.collect() == []
    stage.chain.bench.clock.time_s = due
    assert stage.session.collect() == [f"!01 1 IDLE --:{lrc(b'01 1 IDLE --')}\r\n".encode()]
    assert stage.session.due_s() is None


def test_help_is_followed_by_info_lines(stage: Terminal) -> None:
    first, *rest = stage("/1 0 07 help")
    assert first == "@01 0 07 OK IDLE WR 0"
    assert len(rest) > 3
    assert all(line.startswith("#01 0 07 ") for line in rest)


def test_a_disabled_driver_refuses_to_move(stage: Terminal, faults: FaultBoard) -> None:
    stage.home()
    faults.inject("stage-servo-off")
    assert stage.one("/1 1 move abs 5") == "@01 1 RJ IDLE FD DRIVERDISABLED"
    stage.chain.bench.clock.time_s += 1.0
    assert stage.one("/1 driver enable") == "@01 0 OK IDLE WR 0"
    assert stage.one("/1 home").split()[3] == "BUSY"


def test_a_stalled_axis_gives_up_and_says_so(stage: Terminal, faults: FaultBoard) -> None:
    stage.home()
    faults.inject("stage-stall")
    stage("/1 move abs 2560")
    stage.chain.bench.clock.time_s += 1.0
    assert stage.one("/1 get pos") == "@01 0 OK IDLE FS 0"
    faults.clear()
    stage.chain.bench.clock.time_s += 1.0
    assert stage.one("/1 get pos") == "@01 0 OK IDLE FS 0"      # it does not set out again by itself
    stage("/1 move abs 2560")
    stage.chain.bench.clock.time_s += 1.0
    assert stage.one("/1 get pos") == "@01 0 OK IDLE -- 2560"


def test_the_distance_trigger_fires_on_the_way(stage: Terminal) -> None:
    stage.home()
    bench = stage.chain.bench
    assert stage.one("/1 trigger dist 1 enable") == "@01 0 RJ IDLE -- BADDATA"
    for command in ("trigger dist 1 1 256", "trigger 1 action a io do 1 toggle", "trigger dist 1 enable"):
        assert stage.one(f"/1 {command}") == "@01 0 OK IDLE -- 0"
    speed_um_s = 20.0
    stage(f"/1 set maxspeed {round(speed_um_s / MICROSTEP_UM * 1.6384)}")
    start = bench.clock.time_s
    stage("/1 move abs 2560")       # 100 µm, a trigger every 10 µm
    bench.clock.time_s += 10.0
    assert np.array(bench.triggers_s()) - start == pytest.approx(np.arange(1, 11) * 10.0 / speed_um_s, rel=1e-3)
    stage("/1 trigger dist 1 disable", "/1 move abs 0")
    bench.clock.time_s += 10.0
    assert len(bench.triggers_s()) == 10


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("/1 get system.axiscount", "@01 0 OK IDLE WR 2"), ("/1 get pos", "@01 0 OK IDLE WR 2560 2560"),
        ("/1 2 get pos", "@01 2 OK IDLE WR 2560"), ("/1 3 get pos", "@01 3 RJ IDLE WR BADAXIS"),
        ("/1 get peripheralid", "@01 0 OK IDLE WR 70302 70302"), ("/1 2 get deviceid", "@01 2 RJ IDLE WR DEVICEONLY"),
        ("/1 1 home", "@01 1 OK BUSY WR 0"), ("/1 2 get resolution", "@01 2 OK IDLE WR 256"),
    ],
)
def test_a_controller_of_two_axes(bench: Bench, faults: FaultBoard, command: str, reply: str) -> None:
    assert Terminal(Zaber(bench, faults, two_axis=True)).one(command) == reply


def test_each_axis_of_a_controller_moves_and_tells_by_itself(bench: Bench, faults: FaultBoard) -> None:
    stage = Terminal(Zaber(bench, faults, two_axis=True))
    stage("/1 home")
    bench.clock.time_s += 1.0
    stage("/1 set comm.alert 1", "/1 2 move abs 1000")
    assert stage.one("/1 1").split()[3] == "IDLE"
    assert stage.one("/1 2").split()[3] == "BUSY"
    assert stage.one("/1").split()[3] == "BUSY"
    bench.clock.time_s += 1.0
    assert stage.session.collect() == [b"!01 2 IDLE --\r\n"]
    assert stage.one("/1 get pos") == "@01 0 OK IDLE -- 0 1000"


def test_a_reset_forgets_the_reference(stage: Terminal) -> None:
    stage.home()
    assert stage.one("/1 system reset") == "@01 0 OK IDLE WR 0"
    assert stage.one("/2") == "@02 0 OK IDLE -- 0"


def test_zabers_own_library_drives_it(simulate) -> None:
    zaber = pytest.importorskip("zaber_motion.ascii")
    errors = pytest.importorskip("zaber_motion")
    wires = simulate(stage="zaber-ascii", speed=5.0)
    (served,) = [device for device in wires.microscope.devices if device.role == "stage"]
    control = wires.connect("control")
    with zaber.Connection.open_tcp(served.host, served.port) as connection:
        connection.enable_alerts()
        first, second = connection.detect_devices(identify_devices=False)
        x, y = first.get_axis(1), second.get_axis(1)
        assert not x.is_homed()
        with pytest.raises(errors.CommandFailedException):
            x.move_absolute(100)
        for axis in (x, y):
            axis.home()
            assert axis.is_homed()
        x.move_absolute(2560)
        y.move_absolute(1280, wait_until_idle=False)
        y.wait_until_idle()
        assert (x.get_position(), y.get_position()) == (2560, 1280)
        assert control.get("stage.position_um") == pytest.approx([100.0, 50.0], abs=0.05)
        assert x.settings.get("limit.max") == 5120
        assert x.warnings.get_flags() == set()
        assert first.generic_command("get system.serial").data == "90311"
        with pytest.raises(errors.CommandFailedException):
            x.move_absolute(6000)
        control.tell(fault="stage-stall")
        with pytest.raises(errors.MovementFailedException):
            x.move_absolute(0)
