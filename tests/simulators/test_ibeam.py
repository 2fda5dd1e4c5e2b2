"""The iBeam smart head, byte by byte, and driven by other people's clients."""

import time

import pytest

from halidescope.simulators.bench import Bench
from halidescope.simulators.faults import FaultBoard
from halidescope.simulators.ibeam_commands import IBeamLaser


class Terminal:
    """Types commands at a head that has been told to keep echo and prompt to itself."""

    def __init__(self, head: IBeamLaser) -> None:
        self.head = head
        self.session = head.session()
        self.session.feed(b"echo off\r\nprompt off\r\n")

    def __call__(self, *commands: str) -> str:
        """The last answer between the empty line and [OK]."""
        for command in commands:
            (reply,) = self.session.feed(command.encode() + b"\r\n")
            assert reply.startswith(b"\r\n")
            assert reply.endswith(b"\r\n[OK]\r\n") or reply == b"\r\n[OK]\r\n"
        return reply[2:-6].decode().removesuffix("\r\n")


@pytest.fixture
def laser(bench: Bench, faults: FaultBoard) -> Terminal:
    return Terminal(IBeamLaser(bench, faults))


def wait_for_light(wires) -> None:
    control, deadline = wires.connect("control"), time.monotonic() + 60.0
    while not control.get("laser.emission"):
        assert time.monotonic() < deadline


def light_up(laser: Terminal) -> None:
    assert laser("laser on") == ""
    laser.head.bench.clock.time_s += 0.02


def test_it_speaks_as_to_a_terminal_first(bench: Bench, faults: FaultBoard) -> None:
    session = IBeamLaser(bench, faults).session()
    assert session.feed(b"sta la\r") == [b"sta la\r\nOFF\r\nCMD> "]
    assert session.feed(b"\necho off\r\n") == [b"echo off\r\nCMD> "]
    assert session.feed(b"sta la\r\n") == [b"\r\nOFF\r\nCMD> "]
    assert session.feed(b"prom off\r\n") == [b"\r\n[OK]\r\n"]
    assert session.feed(b"sta la\r\n\r\n") == [b"\r\nOFF\r\n[OK]\r\n", b"\r\n[OK]\r\n"]


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_every_line_has_one_answer(bench: Bench, faults: FaultBoard, end: bytes) -> None:
    session = IBeamLaser(bench, faults).session()
    session.feed(b"echo off" + end + b"prompt off" + end)
    assert session.feed(b"sta la" + end + end + b"version" + end) == [
        b"\r\nOFF\r\n[OK]\r\n", b"\r\n[OK]\r\n", b"\r\niBPs-001A01-05\r\n[OK]\r\n"
    ]


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("status laser", "OFF"), ("sta la", "OFF"), ("status channel 1", "OFF"), ("sta ch 2", "ON"),
        ("show serial", "SN: iBEAM-SMART-405-S-12419"), ("serial", "SN: iBEAM-SMART-405-S-12419"),
        ("ver", "iBPs-001A01-05"), ("show power", "PIC  = 000000 uW  "), ("sh pow", "PIC  = 000000 uW  "),
        ("sh lev pow", "CH1, PWR: 0.000 mW\r\nCH2, PWR: 0.000 mW"), ("sh cur", "LDC  = 0.0 mA"),
        ("sh temp", "TEMP = 25 C"), ("sh temp sys", "TEMP = 29 C"), ("STA LA", "OFF"),
    ],
)
def test_queries_of_an_idle_head(laser: Terminal, query: str, answer: str) -> None:
    assert laser(query) == answer


def test_blocks(laser: Terminal) -> None:
    assert "\r\nPmax: 100.0 mW\r\n" in laser("show satellite")
    assert laser("show limit") == "Imax: 120.0 mA\r\nIth: 24.0 mA"
    assert laser("status uptime").startswith("PowerUP: 1204 h + 10 s\r\nLaserON: 318 h + 0 s")


@pytest.mark.parametrize(
    ("command", "level"),
    [("bla", "E"), ("la o", "E"), ("enable 7", "E"), ("ch 2 pow x", "E"), ("ch 2 pow 101", "W"), ("laser", "E"),
     ("ch 2 pow 100001 mic", "W"), ("ch 2 pow -1", "E"), ("ch 2 pow 5 m", "E"), ("ch 3 pow 5", "E")],
)
def test_refusals_are_system_messages_and_change_nothing(laser: Terminal, command: str, level: str) -> None:
    laser("ch 2 pow 5")
    answer = laser(command)
    assert answer.startswith(f"%SYS-{level}-")
    assert answer[7:10].isdigit()
    assert laser("sh lev pow").endswith("CH2, PWR: 5.000 mW")
    assert laser("sta la") == "OFF"


def test_power_in_micro_and_milliwatts(laser: Terminal) -> None:
    assert laser("channel 2 power 250 micro") == ""
    assert laser("sh lev pow").endswith("CH2, PWR: 0.250 mW")
    assert laser("ch 2 pow 12.5", "sh lev pow").endswith("CH2, PWR: 12.500 mW")
    assert laser("ch pow 7.000000 mic", "sh lev pow").endswith("CH2, PWR: 0.007 mW")


def test_light_needs_laser_and_channel(laser: Terminal) -> None:
    bench = laser.head.bench
    laser("di 0", "ch 2 pow 250 mic")
    light_up(laser)
    assert (laser("sta la"), laser("sta ch 2"), bench.head_mw) == ("ON", "OFF", 0.0)
    assert laser("en 2") == ""
    assert bench.head_mw == pytest.approx(0.25)
    assert int(laser("show power")[7:13]) == pytest.approx(250, abs=3)
    laser("ch 1 pow 2", "en 1")
    assert bench.head_mw == pytest.approx(2.25)
    laser("en ext")
    assert bench.head_mw == pytest.approx(2.0)      # nothing opens the gate
    laser("di ext", "laser off")
    assert (laser("sta la"), bench.head_mw, laser("show power")) == ("OFF", 0.0, "PIC  = 000000 uW  ")


def test_an_open_interlock_darkens(laser: Terminal, faults: FaultBoard) -> None:
    laser("ch 2 pow 10")
    light_up(laser)
    faults.inject("interlock-open")
    assert (laser("sta la"), laser.head.bench.head_mw) == ("OFF", 0.0)
    assert laser("la on").startswith("%SYS-E-")
    faults.clear()
    assert (laser("sta la"), laser("la on")) == ("OFF", "")


def test_a_hot_diode_is_latched(laser: Terminal, faults: FaultBoard) -> None:
    laser("ch 2 pow 10")
    light_up(laser)
    faults.inject("laser-fault")
    assert (laser("sta la"), laser("sh temp"), laser.head.bench.head_mw) == ("OFF", "TEMP = 62 C", 0.0)
    faults.clear()
    assert laser("la on").startswith("%SYS-F-")
    assert laser("la off", "la on") == ""


def test_talk_modes(laser: Terminal) -> None:
    assert laser("talk quiet", "show serial") == ""
    assert laser("sta la") == "OFF"
    assert laser("talk verbose").startswith("%SYS-I-")
    assert laser("talk usual", "en 2") == ""


def test_reset_goes_back_to_the_terminal(laser: Terminal) -> None:
    laser("la on")
    assert laser.session.feed(b"reset system\r\n") == [b"\r\nCMD> "]
    assert laser.session.feed(b"sta la\r\n") == [b"sta la\r\nOFF\r\nCMD> "]


def test_pymeasure_drives_it(simulate) -> None:
    from pymeasure.instruments.toptica import IBeamSmart

    wires = simulate(laser="toptica-ibeam-smart", serial=True)
    (path,) = [device.path for device in wires.microscope.devices if device.role == "laser"]
    control = wires.connect("control")
    laser = IBeamSmart(f"ASRL{path}::INSTR", visa_library="@py", timeout=60_000)
    try:
        assert laser.version == "iBPs-001A01-05"
        assert laser.serial.startswith("SN: iBEAM")
        laser.ch_2.power = 1500.0
        laser.ch_2.enabled = True
        laser.emission = True
        assert laser.emission is True
        assert laser.ch_2.enabled is True
        wait_for_light(wires)
        assert int(laser.power) == pytest.approx(1500, rel=0.01)
        assert control.get("laser.power_mw") == pytest.approx(1.5)
        assert int(laser.temp) == 25
        with pytest.raises(ValueError, match="SYS-W"):
            laser.ch_2.power = 150_000.0
        laser.shutdown()
        assert control.get("laser.emission") is False
    finally:
        laser.adapter.close()


def test_pylablib_drives_it(simulate) -> None:
    """pylablib's class (GPL, only if it is installed) on a pseudo-terminal."""
    toptica = pytest.importorskip("pylablib.devices.Toptica")
    wires = simulate(laser="toptica-ibeam-smart", serial=True)
    (path,) = [device.path for device in wires.microscope.devices if device.role == "laser"]
    with toptica.TopticaIBeam(path) as laser:
        assert laser.get_channels_number() == 2
        assert laser.get_device_info().version == "iBPs-001A01-05"
        assert laser.set_channel_power(2, 2e-3) == pytest.approx(2e-3)
        assert laser.enable_channel(2) is True
        assert laser.enable() is True
        wait_for_light(wires)
        assert laser.get_output_power() == pytest.approx(2e-3, rel=0.01)
        assert laser.get_temperatures() == (25.0, 29.0)
        assert laser.get_current_limits() == pytest.approx({"imax": 0.12, "ith": 0.024})
        with pytest.raises(toptica.TopticaError):
            laser._do_query("channel 2 power 500", reply=False)
        laser.enable(False)
        assert wires.connect("control").get("laser.emission") is False


def test_python_microscope_drives_it(simulate) -> None:
    """python-microscope's class (GPL, only if it is installed) on a pseudo-terminal."""
    toptica = pytest.importorskip("microscope.lights.toptica")
    wires = simulate(laser="toptica-ibeam-smart", serial=True)
    (path,) = [device.path for device in wires.microscope.devices if device.role == "laser"]
    laser = toptica.TopticaiBeam(path)
    laser.power = 0.01
    laser.enable()
    assert laser.get_is_on()
    wait_for_light(wires)
    assert laser.power == pytest.approx(0.01, rel=0.02)
    laser.disable()
    assert not laser.get_is_on()
