"""The OBIS head, line by line, as the manual's command tables have it."""

import pytest
from halidescope.simulators.bench import Bench
from halidescope.simulators.faults import FaultBoard
from halidescope.simulators.obis import CDRH_DELAY_S
from halidescope.simulators.obis_commands import ObisLaser


class Terminal:
    """Types lines at a head whose handshake is on."""

    def __init__(self, head: ObisLaser) -> None:
        self.head = head
        self.session = head.session()

    def raw(self, line: str) -> bytes:
        """Everything that one line brings."""
        return b"".join(self.session.feed(line.encode() + b"\r\n"))

    def __call__(self, *lines: str) -> str:
        """The last line's value, or OK, or its error."""
        for line in lines:
            answer = self.raw(line)
            assert answer.endswith(b"\r\n")
        *value, last = answer.decode().split("\r\n")[:-1]
        assert last == "OK" or (last.startswith("ERR") and not value)
        return value[0] if value else last


@pytest.fixture
def laser(bench: Bench, faults: FaultBoard) -> Terminal:
    return Terminal(ObisLaser(bench, faults))


def light_up(laser: Terminal) -> None:
    assert laser("SOUR:AM:STAT ON") == "OK"
    laser.head.bench.clock.time_s += CDRH_DELAY_S + 0.01


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("SYST:INF:WAV?", "405"), ("SYST:INF:POW?", "0.10000"), ("SOUR:AM:STAT?", "OFF"), ("SYST:AUT?", "OFF"),
        ("SYST:CDRH?", "ON"), ("SYST:LOCK?", "ON"), ("SYST:STAT?", "00000004"), ("SYST:FAUL?", "00000000"),
        ("SOUR:POW:LEV?", "0.00000"), ("SOUR:POW:LIM:LOW?", "0.00100"), ("SOUR:POW:LIM:HIGH?", "0.11000"),
        ("SOUR:AM:SOUR?", "CWP"), ("SOUR:TEMP:BAS?", "27.4C"), ("SOUR:TEMP:DIOD?", "25.0C"),
        ("SOUR:POW:CURR?", "0.000"),
        ("SYST:COMM:HAND?", "ON"), ("SYST:COMM:PROM?", "OFF"), ("SYST:ERR:COUN?", "0"), ("*TST?", "0"),
    ],
)
def test_queries_of_an_idle_head(laser: Terminal, query: str, answer: str) -> None:
    assert laser(query) == answer


@pytest.mark.parametrize(
    "query",
    ["SYST:INF:SNUM?", "system:information:snumber?", "SYSTem:INF:SNUMber?", "SYST1:INF:SNUM?", "SYST0:INF:SNUM?",
     ":SYST:INF:SNUM?", "  syst:inf:snum?  "],
)
def test_headers_in_long_and_short_form(laser: Terminal, query: str) -> None:
    assert laser.raw(query) == b"405100213\r\nOK\r\n"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("SYST:INF:SERIAL?", -100), ("SYSTE:CDRH?", -100), ("bla", -100), ("SOUR:POW:LEV 0.01", -100), ("?!", -102),
        ("SOUR:AM:STAT", -109), ("SOUR:AM:STAT ON ON", -102), ("SOUR:AM:STAT? ON", -102), ("SYST:CDRH MAYBE", -220),
        ("SOUR:POW:LEV:IMM:AMPL 0.2", -220), ("SOUR:POW:LEV:IMM:AMPL 0.0001", -220),
        ("SOUR:POW:LEV:IMM:AMPL NAN", -220), ("SOUR:AM:EXT CWP", -220), ("SYST2:CDRH?", -241),
    ],
)
def test_refused_lines_answer_and_queue_their_number(laser: Terminal, line: str, code: int) -> None:
    assert laser.raw(line) == f"ERR{code}\r\n".encode()
    assert int(laser("SYST:STAT?"), 16) & 0x40
    assert laser("SYST:ERR:NEXT?").startswith(f"{code},")
    assert laser("SYST:ERR:NEXT?") == '0,"No error"'
    assert laser("SOUR:POW:LEV:IMM:AMPL?") == "0.00100"


def test_the_error_queue_is_cleared_and_bounded(laser: Terminal) -> None:
    for _ in range(30):
        laser("bla")
    assert laser("SYST:ERR:COUN?") == "20"
    assert laser.head.errors[-1] == -350
    assert laser("SYST:ERR:CLE") == "OK"
    assert (laser("SYST:ERR:COUN?"), laser("SYST:STAT?")) == ("0", "00000004")


def test_handshake_and_prompt(laser: Terminal) -> None:
    assert laser.raw("SYST:COMM:HAND OFF") == b""
    assert laser.raw("SYST:CDRH?") == b"ON\r\n"
    assert laser.raw("SOUR:POW:LEV:IMM:AMPL 0.02") == b""
    assert laser.raw("nonsense") == b""
    assert laser.raw("SYST:ERR:NEXT?").startswith(b"-100,")
    assert laser.raw("SYST:COMM:HAND ON") == b"OK\r\n"
    assert laser.raw("SYST:COMM:PROM ON") == b"OK\r\nOBIS> "
    assert laser.raw("SYST:LOCK?") == b"ON\r\nOK\r\nOBIS> "


def test_the_cdrh_delay_holds_the_light_back(laser: Terminal) -> None:
    bench = laser.head.bench
    assert laser("SOUR:POW:LEV:IMM:AMPL 0.03", "SOUR:AM:STAT ON") == "OK"
    assert (laser("SOUR:AM:STAT?"), laser("SYST:STAT?"), bench.head_mw) == ("ON", "00000014", 0.0)
    bench.clock.time_s += 4.9
    assert (laser("SYST:STAT?"), laser("SOUR:POW:LEV?"), bench.head_mw) == ("00000014", "0.00000", 0.0)
    bench.clock.time_s += 0.2
    assert (laser("SYST:STAT?"), bench.head_mw) == ("00000006", pytest.approx(30.0))
    assert float(laser("SOUR:POW:LEV?")) == pytest.approx(0.03, rel=0.01)
    assert laser("SOUR:POW:CURR?") == "0.054"
    assert laser("SYST:CDRH OFF") == "ERR-200"      # not while it emits
    assert laser("SOUR:AM:STAT OFF", "SOUR:AM:STAT?") == "OFF"
    assert bench.head_mw == 0.0
    assert laser("SOUR:POW:LEV:IMM:AMPL?") == "0.03000"


def test_a_power_set_in_the_delay_does_not_shorten_it(laser: Terminal) -> None:
    laser("SOUR:POW:LEV:IMM:AMPL 0.03", "SOUR:AM:STAT ON", "SOUR:POW:LEV:IMM:AMPL 0.01", "SOUR:AM:STAT ON")
    assert laser.head.bench.head_mw == 0.0
    laser.head.bench.clock.time_s += CDRH_DELAY_S + 0.01
    assert laser.head.bench.head_mw == pytest.approx(10.0)


def test_without_cdrh_the_light_is_immediate(laser: Terminal) -> None:
    laser("SYST:CDRH OFF", "SOUR:POW:LEV:IMM:AMPL 0.02", "SOUR:AM:STAT ON")
    assert laser.head.bench.head_mw == pytest.approx(20.0)


def test_an_open_interlock_darkens_and_the_light_does_not_come_back(laser: Terminal, faults: FaultBoard) -> None:
    light_up(laser)
    faults.inject("interlock-open")
    assert laser.head.bench.head_mw == 0.0
    assert (laser("SYST:LOCK?"), laser("SOUR:AM:STAT?")) == ("OFF", "OFF")
    assert int(laser("SYST:STAT?"), 16) & 0x04000000
    assert laser("SOUR:AM:STAT ON") == "ERR-200"
    faults.clear()
    laser.head.bench.clock.time_s += 60.0
    assert (laser("SYST:LOCK?"), laser("SOUR:AM:STAT?"), laser.head.bench.head_mw) == ("ON", "OFF", 0.0)
    light_up(laser)
    assert laser.head.bench.head_mw > 0.0


def test_a_hot_diode_is_latched_until_off_finds_it_cold(laser: Terminal, faults: FaultBoard) -> None:
    light_up(laser)
    faults.inject("laser-fault")
    assert (laser("SYST:FAUL?"), laser("SOUR:AM:STAT?"), laser("SOUR:TEMP:DIOD?")) == ("00000002", "OFF", "48.0C")
    assert int(laser("SYST:STAT?"), 16) & 0x7 == 0x1
    assert laser("SOUR:AM:STAT OFF", "SYST:FAUL?") == "00000002"
    faults.clear()
    assert (laser("SYST:FAUL?"), laser("SOUR:AM:STAT ON")) == ("00000002", "ERR-200")
    assert laser("SOUR:AM:STAT OFF", "SYST:FAUL?") == "00000000"
    light_up(laser)


def test_sleep_forbids_emission_and_waking_takes_its_time(laser: Terminal) -> None:
    light_up(laser)
    assert laser("SOUR:TEMP:APR OFF") == "OK"
    assert (laser("SOUR:AM:STAT?"), laser("SYST:STAT?"), laser.head.bench.head_mw) == ("OFF", "00000008", 0.0)
    assert laser("SOUR:AM:STAT ON") == "ERR-221"
    laser("SOUR:TEMP:APR ON", "SYST:CDRH OFF", "SYST:ERR:CLE")
    assert laser("SYST:STAT?") == "00000100"
    laser("SOUR:AM:STAT ON")
    assert laser.head.bench.head_mw == 0.0
    laser.head.bench.clock.time_s += 1.01
    assert (laser("SYST:STAT?"), laser.head.bench.head_mw) == ("00000006", pytest.approx(1.0))


def test_external_modulation_is_dark_and_chosen_in_the_dark_only(laser: Terminal) -> None:
    assert laser("SOUR:AM:EXT DIGital", "SOUR:AM:SOUR?") == "DIGITAL"
    light_up(laser)
    assert (laser("SYST:STAT?"), laser.head.bench.head_mw) == ("00000406", 0.0)
    assert laser("SOUR:AM:INT CWP") == "ERR-200"
    assert laser("SOUR:AM:STAT OFF", "SOUR:AM:INT CWP", "SOUR:AM:SOUR?") == "CWP"


def test_autostart_lights_after_a_restart_and_only_then(laser: Terminal) -> None:
    assert laser("SYST:AUT ON", "SOUR:AM:STAT?") == "OFF"
    assert laser("*RST", "SOUR:AM:STAT?") == "ON"
    assert laser.head.bench.head_mw == 0.0
    laser.head.bench.clock.time_s += CDRH_DELAY_S + 0.01
    assert laser.head.bench.head_mw == pytest.approx(1.0)
    assert laser("SYST:AUT OFF", "*RST", "SOUR:AM:STAT?") == "OFF"


def test_python_microscope_drives_it(simulate) -> None:
    """python-microscope's class (GPL, only if it is installed) on a pseudo-terminal."""
    obis = pytest.importorskip("microscope.lights.obis")
    wires = simulate(laser="coherent-obis-lx", serial=True, speed=60.0)
    (path,) = [device.path for device in wires.microscope.devices if device.role == "laser"]
    laser = obis.ObisLaser(path)
    laser.power = 0.2
    laser.enable()
    assert laser.get_is_on()
    assert wires.connect("control").get("laser.emission") is False      # digital mode, and no trigger is connected
    laser.disable()
    assert not laser.get_is_on()
    assert "Fault code? 00000000" in laser.get_status()
    del laser       # it talks to the head once more, so the head must still be there
