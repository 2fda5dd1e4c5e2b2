"""The 12 V dialect of the Cobolt head."""

import pytest

from halidescope.simulators.bench import Bench
from halidescope.simulators.cobolt import WARM_UP_S
from halidescope.simulators.cobolt_12v import Cobolt12vHead
from halidescope.simulators.faults import FaultBoard
from halidescope.simulators.microscope import SimulatedMicroscope


class Terminal:
    """Types commands at a head."""

    def __init__(self, head: Cobolt12vHead) -> None:
        self.head = head
        self.session = head.session()

    def __call__(self, *commands: str) -> str:
        for command in commands:
            (reply,) = self.session.feed(command.encode() + b"\r\n")
        return reply.decode().removesuffix("\r\n")


@pytest.fixture
def laser(bench: Bench, faults: FaultBoard) -> Terminal:
    return Terminal(Cobolt12vHead(bench, faults))


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("laser:runmode?", "ConstantPower"), ("LASer:RUNMode?", "ConstantPower"), ("las:runm?", "ConstantPower"),
        ("laser:cp:power:setpoint?", "0.0000"), ("laser:cp:power:setpoint? max", "100.0000"),
        ("laser:power:reading?", "0.0000"), ("laser:power?", "0.0000"), ("laser:current:reading?", "0.00"),
        ("state?", "AutostartStandby"), ("autostart:enabled?", "0"), ("ilk?", "0"), ("f?", "0"), ("l?", "0"),
        ("gkses?", "0"), ("sn?", "26101"), ("glm?", "0405-06-11-0100-1100"),
    ],
)
def test_queries_of_an_idle_head(laser: Terminal, query: str, answer: str) -> None:
    assert laser(query) == answer


def test_the_firmware_gives_the_dialect_away(laser: Terminal) -> None:
    assert "CAP-1004" in laser("gfv?")


@pytest.mark.parametrize(
    "command", ["p 0.01", "p?", "l1", "gom?", "la:runm?", "laser:runmodes?", "laser", "laser:pause", "x"]
)
def test_what_the_dialect_does_not_know(laser: Terminal, command: str) -> None:
    assert laser(command) == "Syntax error: illegal command"


@pytest.mark.parametrize(
    "command", ["laser:cp:power:setpoint 100.1", "laser:cp:power:setpoint -1", "las:paus 2", "las:runm X"]
)
def test_values_out_of_range(laser: Terminal, command: str) -> None:
    assert laser(command) == "Syntax error: Value is out of range."


def test_powers_are_milliwatts(laser: Terminal) -> None:
    bench = laser.head.bench
    assert laser("laser:cp:power:setpoint 20", "@cob1", "state?") == "AutostartLaserOn"
    bench.clock.time_s += 2 * WARM_UP_S
    assert bench.head_mw == pytest.approx(20.0)
    assert float(laser("laser:power:reading?")) == pytest.approx(20.0, rel=0.01)
    assert laser("las:paus 1", "laser:power?") == "0.0000"
    assert laser("las:paus 0") == "OK"
    assert bench.head_mw == pytest.approx(20.0)
    assert laser("laser:runmode powermodulation", "laser:runmode?") == "PowerModulation"
    assert bench.head_mw == 0.0
    assert laser("laser:runmode ConstantPower", "l0", "l?") == "0"


def test_a_keyed_head_waits_for_its_key(bench: Bench, faults: FaultBoard) -> None:
    laser = Terminal(Cobolt12vHead(bench, faults, keyed=True))
    assert laser("@cob1", "state?") == "AutostartWaitingForKeyOn"
    laser.head.turn_key(False)
    laser.head.turn_key(True)
    assert laser("state?") == "AutostartLaserOn"
    assert laser("autostart:abort", "l?") == "0"


def test_an_open_interlock_is_latched(laser: Terminal, faults: FaultBoard) -> None:
    faults.inject("interlock-open")
    assert (laser("state?"), laser("fault?"), laser("f?")) == ("Fault", "InterlockFault", "3")
    faults.clear()
    assert laser("fault:clear", "fault?") == "NoFault"


def test_a_microscope_can_have_it(simulate) -> None:
    laser = simulate(laser_variant="12 V").connect("laser")
    assert laser.ask("gfv?\r") == "CAP-1004.2.1.0\r\n"
    with pytest.raises(ValueError, match="no variant '24 V' of cobolt-06-mld is simulated; choose 12 V,"):
        SimulatedMicroscope(laser_variant="24 V")
