"""The ASI driver, byte for byte, without a wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymeasure.test import expected_protocol

from halidescope.drivers.asi import ASIStage, parse_axis_values, parse_position
from halidescope.drivers.errors import (
    BadReplyError,
    InstrumentError,
    LimitError,
    MoveError,
    RefusedError,
    WrongInstrumentError,
)
from halidescope.drivers.roles import Line

IDENTITY = [("V", ":A Version: USB-9.2p \r"), ("BU", "STD_XYZ\r")]
LIMITS = [("SL X? Y?", ":A X=-1.000000 Y=-1.000000\r"), ("SU X? Y?", ":A X=1.000000 Y=1.000000\r")]
VELOCITY = [("S X? Y?", ":A X=1.500000 Y=1.500000 \r")]
AT_ORIGIN = [("W X Y", ":A 0.0 0.0 \r")]
MOVE = [("M X=2000.00 Y=500.00", ":A\r")]


def test_identity_is_version_and_build():
    with expected_protocol(ASIStage, IDENTITY) as stage:
        assert (stage.identity.model, stage.identity.serial, stage.identity.firmware) == ("STD_XYZ", "", "USB-9.2p")


def test_another_controller_is_refused():
    with expected_protocol(ASIStage, [("V", "R")]) as stage, pytest.raises(WrongInstrumentError, match="no ASI"):
        stage.start()


def test_start_switches_the_motors_on_and_moves_nothing():
    with expected_protocol(ASIStage, [*IDENTITY, ("MC X+ Y+", ":A"), *LIMITS, *VELOCITY]) as stage:
        stage.start()
        assert stage.limits_um == ((-1000.0, 1000.0), (-1000.0, 1000.0))
        assert stage.velocity_um_s == (1500.0, 1500.0)


def test_a_move_is_in_tenths_of_a_micrometre_awaited_and_compared():
    pairs = [*LIMITS, *AT_ORIGIN, *MOVE, *VELOCITY, ("/", "B"), ("/", "N\r"), ("W X Y", ":A 2000.1 499.9 ")]
    with expected_protocol(ASIStage, pairs) as stage:
        assert stage.move_to(200.0, 50.0) == pytest.approx((200.01, 49.99))


def test_a_move_that_ends_elsewhere_raises():
    pairs = [*LIMITS, *AT_ORIGIN, *MOVE, *VELOCITY, ("/", "N"), ("W X Y", ":A 1000 500")]
    with expected_protocol(ASIStage, pairs) as stage, pytest.raises(MoveError, match=r"stands at \(100.000, 50.000\)"):
        stage.move_to(200.0, 50.0)


def test_a_move_that_never_ends_is_stopped():
    pairs = [*LIMITS, *AT_ORIGIN, *MOVE, *VELOCITY, ("/", "B"), ("\\", ":N-21"), ("W X Y", ":A 1 2")]
    with expected_protocol(ASIStage, pairs, settle_wait_s=-10.0) as stage, pytest.raises(MoveError, match="stopped"):
        stage.move_to(200.0, 50.0)


def test_a_target_outside_the_travel_is_never_sent():
    with expected_protocol(ASIStage, LIMITS) as stage, pytest.raises(LimitError, match=r"-1000.0 to 1000.0 µm"):
        stage.move_to(1000.1, 0.0)


@pytest.mark.parametrize("answer", [":A", ":N-21"])
def test_stop(answer):
    with expected_protocol(ASIStage, [("\\", answer)]) as stage:
        stage.stop()


@pytest.mark.parametrize(("code", "words"), [(1, "unknown command"), (4, "out of range"), (99, "known errors")])
def test_a_refusal_is_told_in_words(code, words):
    with (
        expected_protocol(ASIStage, [("S X=99", f":N-{code} \r")]) as stage,
        pytest.raises(RefusedError, match=f"refused 'S X=99': error {code}, .*{words}"),
    ):
        stage.command("S X=99")


@pytest.mark.parametrize("answer", ["", "A", ":B", ":A 5", ":N-"])
def test_a_command_that_is_not_acknowledged_is_a_bad_reply(answer):
    with expected_protocol(ASIStage, [("S X=1", answer)]) as stage, pytest.raises(BadReplyError):
        stage.command("S X=1")


def line_of(*commands):
    start = [("W X Y", ":A 200.0 400.0"), ("M X=200.00 Y=400.00", ":A"), *VELOCITY, ("/", "N"),
             ("W X Y", ":A 200.0 400.0")]  # fmt: skip
    return [*LIMITS, *start, *[(command, ":A") for command in commands], ("/", "N")]


def test_a_line_along_an_axis_is_a_scan_of_one_row_with_ttl_output():
    scan = ("S X=0.025000 Y=1.500000", "SCAN X=1 Y=2 F=0", "SCANR X=0.02000 Y=0.03000", "SCANV X=0.04000 Y=0.04000 Z=1",
            "SCAN")  # fmt: skip
    end = [("W X Y", ":A 300.0 400.0"), ("S X=1.500000 Y=1.500000", ":A")]
    with expected_protocol(ASIStage, [*line_of(*scan), *end]) as stage:
        stage.start_line(Line((20.0, 40.0), (30.0, 40.0), pixels=2, pixel_s=0.2))
        assert stage.finish_line() == (30.0, 40.0)


def test_a_slanted_line_is_a_move_at_constant_velocity():
    move = ("S X=0.025000 Y=0.050000", "M X=300.00 Y=600.00")
    end = [("W X Y", ":A 300.0 600.0"), ("S X=1.500000 Y=1.500000", ":A")]
    with expected_protocol(ASIStage, [*line_of(*move), *end]) as stage:
        stage.start_line(Line((20.0, 40.0), (30.0, 60.0), pixels=2, pixel_s=0.2))
        assert stage.finish_line() == (30.0, 60.0)


def test_after_a_bad_answer_everything_late_is_skipped():
    fence = [("V", ":A 1.0 2.0"), (None, IDENTITY[0][1])]
    with expected_protocol(ASIStage, [*IDENTITY, ("/", ":A"), *fence, ("/", "N")]) as stage:
        _ = stage.identity
        with pytest.raises(BadReplyError, match="B or N"):
            _ = stage.moving
        assert stage.moving is False


ANSWER = st.text(alphabet=st.sampled_from(":AN XY=12.5-e+_\x00ÿ"), max_size=30)


@given(ANSWER)
def test_any_position_is_an_error_or_two_finite_numbers(answer):
    with expected_protocol(ASIStage, [("W X Y", answer)]) as stage:
        try:
            x, y = stage.position_um
        except InstrumentError:
            return
        assert abs(x) < float("inf")
        assert abs(y) < float("inf")
        assert answer.strip().startswith(":")


@given(ANSWER)
def test_any_velocity_is_an_error_or_one_number_an_axis(answer):
    try:
        parse_axis_values(answer, ("X", "Y"))
    except ValueError:
        return
    assert answer.count("X=") == answer.count("Y=") == 1


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_written_values_are_read_back(x, y):
    assert parse_position(f":A {x!r} {y!r} ") == (x, y)
    assert parse_axis_values(f":A X={x!r} Y={y!r}", ("X", "Y")) == (x, y)
