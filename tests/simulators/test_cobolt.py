"""The laser head, line by line, as the manual's command table has it."""

import pytest

from halidescope.simulators.bench import Bench
from halidescope.simulators.cobolt import WARM_UP_S, CoboltHead
from halidescope.simulators.faults import FaultBoard


class Terminal:
    """Types commands at a head."""

    def __init__(self, head: CoboltHead) -> None:
        self.head = head
        self.session = head.session()

    def __call__(self, *commands: str) -> str:
        """Answer of the last command, without its line end."""
        for command in commands:
            replies = self.session.feed(command.encode() + b"\r")
            assert len(replies) == 1, f"{command!r} got {len(replies)} replies"
            assert replies[0].endswith(b"\r\n")
        return replies[0][:-2].decode()


@pytest.fixture
def laser(bench: Bench, faults: FaultBoard) -> Terminal:
    return Terminal(CoboltHead(bench, faults))


@pytest.fixture
def keyed(bench: Bench, faults: FaultBoard) -> Terminal:
    return Terminal(CoboltHead(bench, faults, keyed=True))


def warm_up(laser: Terminal) -> None:
    laser.head.bench.clock.time_s += 2 * WARM_UP_S


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("?", "OK"), ("gfv?", "1004.006"), ("ver?", "1004.006"), ("glm?", "0405-06-01-0100-100"), ("l?", "0"),
        ("@cobas?", "0"), ("gas?", "0"), ("@cobasdr?", "0"), ("p?", "0.0000"), ("pa?", "0.0000"), ("glp?", "0.000"),
        ("gmlp?", "100.000000"), ("gam?", "1"), ("gom?", "0"), ("gkses?", "0"), ("@cobasks?", "1"), ("ilk?", "0"),
        ("f?", "0"), ("leds?", "1"), ("rbpt?", "25.1"), ("gdmes?", "0"), ("games?", "0"), ("i?", "0.00"),
    ],
)
def test_queries_of_an_idle_head(laser: Terminal, query: str, answer: str) -> None:
    assert laser(query) == answer


def test_serial_number_has_two_names(laser: Terminal) -> None:
    assert laser("sn?") == laser("gsn?") == "26101"


def test_power_is_in_watts_and_kept_while_dark(laser: Terminal) -> None:
    assert laser("p 0.0500") == "OK"
    assert laser("p?") == "0.0500"
    assert laser("glp?") == "50.000"
    assert laser("slp 1.25", "p?") == "0.00125"
    assert laser("pa?") == "0.0000"


@pytest.mark.parametrize("command", ["p 0.1001", "p -0.001", "slp 101", "slc 999", "@cobas 2"])
def test_values_out_of_range_are_refused_and_change_nothing(laser: Terminal, command: str) -> None:
    laser("p 0.02")
    assert laser(command) == "Syntax error: Value is out of range."
    assert laser("p?") == "0.0200"


@pytest.mark.parametrize(
    "command", ["bla", "L1", "p", "p 1 2", "p nan", "p inf", "p 1_0", "p 0x1", "p ¾", "l1 1", "?1", "\x1c"]
)
def test_what_is_no_command_is_a_syntax_error(laser: Terminal, command: str) -> None:
    assert laser(command) == "Syntax error: illegal command"


def test_blanks_and_any_line_end_are_tolerated(laser: Terminal) -> None:
    replies = laser.session.feed(b"\r\n  p   0.03  \r\np?\n\r?\r\n")
    assert replies == [b"OK\r\n", b"0.0300\r\n", b"OK\r\n"]


def test_light_follows_the_warm_up_and_goes_at_once(laser: Terminal) -> None:
    bench = laser.head.bench
    laser("p 0.03", "l1")
    assert (laser("l?"), laser("gom?"), bench.head_mw) == ("1", "2", 0.0)
    warm_up(laser)
    assert bench.head_mw == pytest.approx(30.0)
    assert float(laser("pa?")) == pytest.approx(0.03, rel=0.01)
    assert laser("leds?") == "7"
    laser("p 0.01")
    assert bench.head_mw == pytest.approx(10.0)
    assert laser("l0") == "OK"
    assert (laser("l?"), laser("pa?"), bench.head_mw) == ("0", "0.0000", 0.0)
    assert laser("p?") == "0.0100"


def test_a_power_set_while_warming_waits_for_the_light(laser: Terminal) -> None:
    laser("p 0.03", "l1", "p 0.02")
    assert laser.head.bench.head_mw == 0.0
    warm_up(laser)
    assert laser.head.bench.head_mw == pytest.approx(20.0)


def test_l1_is_refused_in_autostart_mode(laser: Terminal) -> None:
    assert laser("@cobas 1") == "OK"
    assert laser("l1") == "Syntax error: not allowed in autostart mode."
    assert laser("l?") == "0"


def test_cob1_starts_an_oem_head_and_leaves_autostart_enabled(laser: Terminal) -> None:
    assert laser("p 0.01", "@cob1") == "OK"
    assert (laser("l?"), laser("@cobas?")) == ("1", "1")
    assert laser("l0", "l?") == "0"


def test_a_keyed_head_waits_for_the_key_to_go_off_and_on(keyed: Terminal) -> None:
    keyed("p 0.01")
    assert keyed("l1") == "Syntax error: not allowed in autostart mode."
    assert keyed("@cob1") == "OK"
    assert (keyed("gkses?"), keyed("gom?"), keyed("l?")) == ("1", "1", "0")
    keyed.head.turn_key(True)       # already on: no edge
    assert keyed("l?") == "0"
    keyed.head.turn_key(False)
    assert keyed("@cobasks?") == "0"
    keyed.head.turn_key(True)
    assert (keyed("l?"), keyed("gom?")) == ("1", "2")
    keyed.head.turn_key(False)
    assert (keyed("l?"), keyed.head.bench.head_mw) == ("0", 0.0)


def test_an_open_interlock_darkens_and_latches(laser: Terminal, faults: FaultBoard) -> None:
    laser("p 0.03", "l1")
    warm_up(laser)
    faults.inject("interlock-open")
    assert laser.head.bench.head_mw == 0.0
    assert (laser("ilk?"), laser("f?"), laser("l?"), laser("gom?")) == ("1", "3", "0", "5")
    assert (laser("cf"), laser("f?")) == ("OK", "3")
    faults.clear()
    assert (laser("ilk?"), laser("f?")) == ("0", "3")
    assert (laser("l1"), laser("l?")) == ("OK", "0")
    assert (laser("cf"), laser("f?"), laser("l1"), laser("l?")) == ("OK", "0", "OK", "1")


def test_only_the_key_restarts_a_keyed_head_after_the_interlock(keyed: Terminal, faults: FaultBoard) -> None:
    faults.inject("interlock-open")
    faults.clear()
    keyed("@cob1")
    assert (keyed("l?"), keyed("f?")) == ("0", "3")
    keyed.head.turn_key(False)
    keyed.head.turn_key(True)
    assert (keyed("f?"), keyed("l?")) == ("0", "1")


def test_a_temperature_fault_stays_until_its_cause_is_gone(laser: Terminal, faults: FaultBoard) -> None:
    laser("p 0.03", "l1")
    faults.inject("laser-fault")
    assert (laser("f?"), laser("l?"), laser("cf"), laser("f?")) == ("1", "0", "OK", "1")
    faults.clear()
    assert (laser("cf"), laser("f?")) == ("OK", "0")


def test_modes_pause_and_modulation(laser: Terminal) -> None:
    bench = laser.head.bench
    laser("slc 43", "ci", "l1")
    warm_up(laser)
    assert laser("gam?") == "0"
    assert bench.head_mw == pytest.approx(20.0)     # (43 − 27) mA · 1.25 mW/mA
    assert laser("i?") == "43.00"
    laser("p 0.03", "ecp")
    assert bench.head_mw == pytest.approx(30.0)
    assert laser("l0r") == "OK"
    assert (bench.head_mw, laser("l?")) == (0.0, "1")
    assert laser("l1r") == "OK"
    assert bench.head_mw == pytest.approx(30.0)
    assert (laser("em"), laser("gam?"), laser("gom?"), bench.head_mw) == ("OK", "2", "4", 0.0)
    assert (laser("sdmes 1"), laser("gom?")) == ("OK", "3")
    assert (laser("abort"), laser("gom?"), laser("l?")) == ("OK", "6", "0")
