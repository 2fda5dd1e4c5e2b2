"""The Cobolt driver, byte for byte, without a wire: what it sends for every property and method."""

import contextlib
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pymeasure.test import expected_protocol

from halidescope.drivers.cobolt import CoboltMLD, last_digit
from halidescope.drivers.cobolt_dialects import state_word
from halidescope.drivers.errors import (
    BadReplyError,
    InstrumentError,
    InterlockError,
    LaserFaultError,
    LimitError,
    NotDarkError,
    RefusedError,
    WrongInstrumentError,
)
from halidescope.drivers.roles import LaserState

IDENTITY = [("gfv?", "1004.006\r"), ("glm?", "0405-06-01-0100-100\r"), ("sn?", "12345\r")]
LIMITS = [("gmlp?", "100.000000")]
DARK = [("l0", "OK"), ("l?", "0"), ("pa?", "0.0000"), *LIMITS]
PERMITTED = [("ilk?", "0"), ("f?", "0")]
ASKED = [*PERMITTED, ("p?", "0.0500")]       # what is asked before emission is switched on
LIT = [*LIMITS, ("pa?", "0.0498")]


def test_identity_holds_model_code_serial_and_firmware():
    with expected_protocol(CoboltMLD, IDENTITY) as laser:
        identity = laser.identity
        assert (identity.model, identity.serial, identity.firmware) == ("0405-06-01-0100-100", "12345", "1004.006")
        assert laser.wavelength_nm == 405.0


@pytest.mark.parametrize("code", ["0561-05-11-0100-500", "0", "0405-06-91-0100-1000"])
def test_another_model_is_refused(code):
    with (
        expected_protocol(CoboltMLD, [("gfv?", "1.0"), ("glm?", code), ("sn?", "1")]) as laser,
        pytest.raises(WrongInstrumentError, match="0405-06-01-0100-100"),
    ):
        laser.start()


def test_start_leaves_a_dark_head_alone():
    with expected_protocol(CoboltMLD, [*IDENTITY, ("l?", "0"), *LIMITS]) as laser:
        laser.start()
        assert not laser.found_emitting


def test_start_switches_an_emitting_head_off_and_says_so():
    pairs = [*IDENTITY, ("l?", "1"), ("l0", "OK"), ("l?", "1"), ("l?", "0"), ("pa?", "0.0000"), *LIMITS]
    with expected_protocol(CoboltMLD, pairs) as laser:
        laser.start()
        assert laser.found_emitting


def test_start_has_switched_off_before_its_limits_are_refused():
    pairs = [*IDENTITY, ("l?", "1"), ("l0", "OK"), ("l?", "0"), ("pa?", "0.0000"), ("gmlp?", "none")]
    with expected_protocol(CoboltMLD, pairs) as laser, pytest.raises(BadReplyError, match="none"):
        laser.start()


@pytest.mark.parametrize(
    ("name", "query", "answer", "value"),
    [
        ("power_mw", "pa?", "0.0498", 49.8),
        ("power_setpoint_mw", "p?", "0.0500", 50.0),
        ("power_max_mw", "gmlp?", "100.000000", 100.0),
        ("power_limits_mw", "gmlp?", "100.000000", (0.0, 100.0)),
        ("emission", "l?", "1", True),
        ("emission", "l?", "0", False),
        ("interlock_closed", "ilk?", "0", True),
        ("interlock_closed", "ilk?", "1", False),
        ("operating_state", "gom?", "2", LaserState.ON),
        ("operating_state", "gom?", "1", LaserState.WAITING_FOR_KEY),
        ("fault_number", "f?", "4", 4),
        ("fault", "f?", "0", None),
        ("key_switch_present", "gkses?", "1", True),
        ("autostart", "@cobas?", "0", False),
        ("hours", "hrs?", "828.98", 828.98),
    ],
)
def test_every_property_is_one_query(name, query, answer, value):
    with expected_protocol(CoboltMLD, [(query, answer + "\r")]) as laser:
        found = getattr(laser, name)
        assert found == pytest.approx(value) if isinstance(value, float) else found == value


@pytest.mark.parametrize(
    ("pairs", "state"),
    [
        ([("gom?", "0"), ("f?", "0")], LaserState.OFF),
        ([("gom?", "0"), ("f?", "3")], LaserState.FAULT),
        ([("gom?", "5"), ("f?", "3")], LaserState.FAULT),
        ([("gom?", "2")], LaserState.ON),
        ([("gom?", "6"), ("f?", "0")], LaserState.OFF),
        ([("gom?", "1"), ("f?", "0")], LaserState.WAITING_FOR_KEY),
    ],
)
def test_a_latched_fault_is_the_state(pairs, state):
    with expected_protocol(CoboltMLD, pairs) as laser:
        assert laser.state is state


def test_fault_is_told_in_words():
    with expected_protocol(CoboltMLD, [("f?", "3")]) as laser:
        assert laser.fault == "fault 3: interlock was opened"


def test_power_is_sent_in_watts_and_compared():
    with expected_protocol(CoboltMLD, [*LIMITS, ("p 0.050000", "OK"), ("p?", "0.0500")]) as laser:
        laser.set_power(50.0)


def test_a_head_that_rounds_to_its_last_digit_is_believed():
    with expected_protocol(CoboltMLD, [*LIMITS, ("p 0.001250", "OK"), ("p?", "0.0013")]) as laser:
        laser.set_power(1.25)


@pytest.mark.parametrize("answer", ["0.0200", "2e-2", "0.02"])
def test_a_head_that_keeps_another_power_is_not_believed(answer):
    with (
        expected_protocol(CoboltMLD, [*LIMITS, ("p 0.050000", "OK"), ("p?", answer)]) as laser,
        pytest.raises(RefusedError, match="head says 20 mW"),
    ):
        laser.set_power(50.0)


@pytest.mark.parametrize("power_mw", [-0.1, 100.1, float("nan"), float("inf")])
def test_a_power_outside_the_limits_is_never_sent(power_mw):
    with (
        expected_protocol(CoboltMLD, LIMITS) as laser,
        pytest.raises(LimitError, match="allowed 0 to 100 mW"),
    ):
        laser.set_power(power_mw)


def test_turn_on_without_key():
    pairs = [*ASKED, ("gkses?", "0"), ("@cobas?", "1"), ("@cobas 0", "OK"), ("l1", "OK"), ("l?", "1"), *LIT]
    with expected_protocol(CoboltMLD, pairs) as laser:
        laser.turn_on()


def test_emission_without_light_is_waited_for_and_the_instant_recorded():
    dark = [*LIMITS, ("pa?", "0.0000"), *PERMITTED, ("gom?", "2")]
    pairs = [*ASKED, ("gkses?", "0"), ("@cobas?", "0"), ("l1", "OK"), ("l?", "1"), *dark, ("pa?", "0.0300")]
    with expected_protocol(CoboltMLD, pairs) as laser:
        assert laser.lit_between_s is None
        before = time.perf_counter()
        laser.turn_on()
        dark_at, lit_at = laser.lit_between_s
        assert before < dark_at < lit_at < time.perf_counter()


def test_a_head_that_reports_emission_and_stays_dark_is_switched_off_again():
    dark = [*LIMITS, ("pa?", "0.0000"), *PERMITTED, ("gom?", "2")]
    pairs = [*ASKED, ("gkses?", "0"), ("@cobas?", "0"), ("l1", "OK"), ("l?", "1"), *dark, *DARK[:-1]]
    with (
        expected_protocol(CoboltMLD, pairs, on_wait_s=-1.0) as laser,
        pytest.raises(RefusedError, match="no light is measured at a set-point of 50 mW"),
    ):
        laser.turn_on()
    assert laser.lit_between_s is None


def test_at_zero_power_no_light_is_waited_for():
    pairs = [*PERMITTED, ("p?", "0.0000"), ("gkses?", "0"), ("@cobas?", "0"), ("l1", "OK"), ("l?", "1")]
    with expected_protocol(CoboltMLD, pairs) as laser:
        laser.turn_on()
        assert laser.lit_between_s is None


def test_a_key_is_never_bypassed():
    pairs = [*ASKED, ("gkses?", "1"), ("@cob1", "OK"), ("l?", "0"), *PERMITTED, ("gom?", "1"), ("l?", "1"), *LIT]
    with expected_protocol(CoboltMLD, pairs) as laser:
        laser.turn_on()


def test_a_key_that_nobody_turns_ends_dark_and_says_what_to_do():
    pairs = [*ASKED, ("gkses?", "1"), ("@cob1", "OK"), ("l?", "0"), *PERMITTED, ("gom?", "1"), *DARK]
    with (
        expected_protocol(CoboltMLD, pairs, key_wait_s=-1.0) as laser,
        pytest.raises(RefusedError, match="turn the key switch to OFF and then ON"),
    ):
        laser.turn_on()


def test_a_head_that_does_not_come_on_is_switched_off_again():
    pairs = [
        *ASKED, ("gkses?", "0"), ("@cobas?", "0"), ("l1", "OK"), ("l?", "0"), *PERMITTED, ("gom?", "0"), *DARK,
    ]  # fmt: skip
    with (
        expected_protocol(CoboltMLD, pairs, on_wait_s=-1.0) as laser,
        pytest.raises(RefusedError, match="it reports no emission"),
    ):
        laser.turn_on()


def test_an_open_interlock_forbids_emission():
    with expected_protocol(CoboltMLD, [("ilk?", "1")]) as laser, pytest.raises(InterlockError, match="close the loop"):
        laser.turn_on()


def test_a_latched_fault_forbids_emission():
    with (
        expected_protocol(CoboltMLD, [("ilk?", "0"), ("f?", "1")]) as laser,
        pytest.raises(LaserFaultError, match="temperature out of range"),
    ):
        laser.turn_on()


def test_an_interlock_that_opens_while_starting_ends_dark():
    pairs = [*ASKED, ("gkses?", "0"), ("@cobas?", "0"), ("l1", "OK"), ("l?", "0"), ("ilk?", "1"), *DARK]
    with expected_protocol(CoboltMLD, pairs) as laser, pytest.raises(InterlockError):
        laser.turn_on()


def test_turn_off_reads_emission_and_power_back():
    with expected_protocol(CoboltMLD, DARK) as laser:
        laser.turn_off()


def test_a_head_that_still_emits_is_not_dark():
    with (
        expected_protocol(CoboltMLD, [("l0", "OK"), ("l?", "1")], dark_wait_s=-1.0) as laser,
        pytest.raises(NotDarkError, match="cut its power now"),
    ):
        laser.turn_off()


def test_light_without_emission_flag_is_not_dark():
    pairs = [("l0", "OK"), ("l?", "0"), ("pa?", "0.0300"), *LIMITS]
    with expected_protocol(CoboltMLD, pairs, dark_wait_s=-1.0) as laser, pytest.raises(NotDarkError):
        laser.turn_off()


def test_a_refused_off_that_is_dark_counts_as_dark():
    pairs = [("l0", "Syntax error: illegal command")] * 2 + [("l?", "0"), ("pa?", "0.0000"), *LIMITS]
    with expected_protocol(CoboltMLD, pairs) as laser:
        laser.turn_off()


def test_clear_fault():
    with expected_protocol(CoboltMLD, [("cf", "OK")]) as laser:
        laser.clear_fault()


def test_shutdown_is_dark_first():
    with expected_protocol(CoboltMLD, DARK) as laser:
        laser.shutdown()
        assert laser.isShutdown


def test_a_refusal_names_device_command_and_answer():
    with (
        expected_protocol(CoboltMLD, [("p 9", "Syntax error: Value is out of range.")]) as laser,
        pytest.raises(RefusedError, match=r"^laser cobolt-06-mld \(ProtocolAdapter\): refused 'p 9'.*out of range"),
    ):
        laser.command("p 9")


def test_a_refused_query_raises():
    with (
        expected_protocol(CoboltMLD, [("hrs?", "Syntax error: illegal command")]) as laser,
        pytest.raises(RefusedError),
    ):
        _ = laser.hours


def test_an_echo_is_skipped():
    with expected_protocol(CoboltMLD, [("p?", "p?"), (None, "0.0500")]) as laser:
        assert laser.power_setpoint_mw == pytest.approx(50.0)


def test_an_empty_answer_is_asked_for_again_a_bounded_number_of_times():
    with expected_protocol(CoboltMLD, [("l?", "\r"), ("l?", "1")]) as laser:
        assert laser.emission is True
    with expected_protocol(CoboltMLD, [("l?", "\r")] * 3) as laser, pytest.raises(BadReplyError, match="empty lines"):
        _ = laser.emission


def test_an_empty_acknowledgement_is_not_repeated():
    with expected_protocol(CoboltMLD, [("l1", "\r")]) as laser, pytest.raises(BadReplyError):
        laser.command("l1")


def test_after_a_bad_answer_everything_late_is_skipped():
    pairs = [*IDENTITY, ("l?", "OK"), ("glm?", "0.0498"), (None, "0405-06-01-0100-100"), ("l?", "0")]
    with expected_protocol(CoboltMLD, pairs) as laser:
        _ = laser.identity
        with pytest.raises(BadReplyError):
            _ = laser.emission
        assert laser.emission is False


@pytest.mark.parametrize(("text", "unit"), [("0.0500", 1e-4), ("50", 1.0), ("5.00E-02", 1e-4), ("0.050000", 1e-6)])
def test_the_last_digit_tells_the_resolution(text, unit):
    assert last_digit(text) == pytest.approx(unit)


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("emission", {True, False}),
        ("interlock_closed", {True, False}),
        ("operating_state", set(LaserState)),
        ("fault_number", {0, 1, 3, 4}),
    ],
)
@given(answer=st.text(alphabet=st.characters(codec="latin-1"), max_size=12))
def test_any_answer_is_an_error_or_a_value_of_the_manual(name, allowed, answer):
    text = answer.strip()
    query = {"emission": "l?", "interlock_closed": "ilk?", "operating_state": "gom?", "fault_number": "f?"}[name]
    assume(text != query)    # that is an echo, and the answer would follow
    pairs = [(query, answer)]
    with expected_protocol(CoboltMLD, pairs * 3 if not text and answer.isascii() else pairs) as laser:
        try:
            assert getattr(laser, name) in allowed
        except InstrumentError:
            assert text not in ("0", "1")


@given(answer=st.one_of(st.text(max_size=12), st.floats().map(str)))
def test_any_power_is_an_error_or_that_number(answer):
    assume(answer.strip() != "pa?")
    pairs = [("pa?", answer)]
    with expected_protocol(CoboltMLD, pairs * 3 if not answer.strip() and answer.isascii() else pairs) as laser:
        try:
            power_mw = laser.power_mw
        except InstrumentError:
            return
        assert power_mw == float(answer.strip()) * 1e3
        assert 0 <= power_mw < float("inf")


@given(answer=st.text(alphabet="0123456789.-+eE_naif", max_size=10))
def test_a_set_point_is_kept_or_the_answer_is_an_error(answer):
    pairs = [*LIMITS, ("p 0.050000", "OK"), ("p?", answer), *([("p?", answer)] * 2 if not answer else [])]
    with expected_protocol(CoboltMLD, pairs) as laser:
        try:
            laser.set_power(50.0)
        except InstrumentError:
            return
        assert float(answer) == pytest.approx(0.05, abs=0.0002 * 1.001)    # 0.2 % of the head's 100 mW


@pytest.mark.parametrize("answer", ["1_0", "0e999", "nan", "inf", "-0.01", "0,05", "0.05 W"])
def test_what_python_takes_for_a_number_is_not_always_one(answer):
    pairs = [*LIMITS, ("p 0.050000", "OK"), ("p?", answer)]
    with expected_protocol(CoboltMLD, pairs) as laser, pytest.raises(BadReplyError):
        laser.set_power(50.0)


TWELVE_VOLT = [("gfv?", "CAP-1004/2.1.3\r"), ("glm?", "0405-06-11-0100-1100\r"), ("sn?", "777\r")]
TWELVE_LIMITS = [("laser:cp:power:setpoint? max", "110.0")]
TWELVE_DARK = [("l0", "OK"), ("l?", "0"), ("laser:power:reading?", "0.000")]


@pytest.fixture
def twelve_volt():
    """Makes a head of the 12 V dialect, identified, that then expects the given exchanges."""

    @contextlib.contextmanager
    def make(*pairs, **settings):
        with expected_protocol(CoboltMLD, [*TWELVE_VOLT, ("l?", "0"), *TWELVE_LIMITS, *pairs], **settings) as laser:
            laser.start()
            yield laser

    return make


def test_the_dialect_is_found_by_asking(twelve_volt):
    with twelve_volt() as laser:
        assert laser.dialect.name == "12 V"
        assert laser.identity.serial == "777"
        assert laser.wavelength_nm == 405.0
        assert laser.power_limits_mw == (0.0, 110.0)


@pytest.mark.parametrize(
    ("name", "query", "answer", "value"),
    [
        ("power_mw", "laser:power:reading?", "19.8", 19.8),
        ("power_setpoint_mw", "laser:cp:power:setpoint?", "20.0", 20.0),
        ("operating_state", "state?", "AutostartStandby", LaserState.OFF),
        ("operating_state", "state?", "AutostartWaitingForKeyOn", LaserState.WAITING_FOR_KEY),
        ("operating_state", "state?", "AutostartLaserOn", LaserState.ON),
    ],
)
def test_every_property_of_the_12_v_dialect(twelve_volt, name, query, answer, value):
    with twelve_volt((query, answer)) as laser:
        assert getattr(laser, name) == value


def test_an_unknown_state_is_a_bad_reply(twelve_volt):
    with twelve_volt(("state?", "Contemplating")) as laser, pytest.raises(BadReplyError, match="operating state"):
        _ = laser.operating_state


def test_12_v_power_is_sent_in_milliwatts(twelve_volt):
    pairs = [("laser:cp:power:setpoint 20.000", "OK"), ("laser:cp:power:setpoint?", "20.000")]
    with twelve_volt(*pairs) as laser:
        laser.set_power(20.0)


def test_12_v_heads_are_started_by_their_own_sequence(twelve_volt):
    asked = [*PERMITTED, ("laser:cp:power:setpoint?", "20.0")]
    pairs = [*asked, ("@cob1", "OK"), ("l?", "1"), ("laser:power:reading?", "0.0"), *PERMITTED,
             ("state?", "AutostartLaserOn"), ("laser:power:reading?", "19.9"), *TWELVE_DARK]  # fmt: skip
    with twelve_volt(*pairs) as laser:
        laser.turn_on()
        laser.turn_off()


def test_12_v_clear_fault(twelve_volt):
    with twelve_volt(("fault:clear", "OK")) as laser:
        laser.clear_fault()


@given(answer=st.text(max_size=30))
def test_any_state_word_is_an_error_or_a_state(answer):
    try:
        assert state_word(answer) in LaserState
    except ValueError:
        assert "standby" not in answer.lower()
