"""The GCS driver, byte for byte, without a wire."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymeasure.test import expected_protocol

from halidescope.drivers.errors import (
    BadReplyError,
    InstrumentError,
    LimitError,
    MoveError,
    RefusedError,
    WrongInstrumentError,
)
from halidescope.drivers.gcs import PIE727, parse_items
from halidescope.drivers.gcs_lines import plan_wave
from halidescope.drivers.roles import Line

IDN = [("*IDN?", "(c)2013 Physik Instrumente(PI) Karlsruhe, E-727.3SDA, 0117034567, 13.21.00.09")]
LIMITS = [("TMN? 1 2", "1=0.0 \n2=0.0"), ("TMX? 1 2", "1=2.00000000e+02 \n2=200.0")]
VELOCITY = [("VEL? 1 2", "1=1000.0 \n2=1000.0")]
AT_ORIGIN = [("POS? 1 2", "1=0.0 \n2=0.0")]
MOVE = [("MOV 1 12.500000 2 100.000000\nERR?", "0")]
ARRIVED = [("ONT? 1 2", "1=0 \n2=1"), ("ONT? 1 2", "1=1 \n2=1")]


def test_identity():
    with expected_protocol(PIE727, IDN) as stage:
        assert stage.identity.model == "E-727.3SDA"
        assert stage.identity.serial == "0117034567"
        assert stage.identity.firmware == "13.21.00.09"


@pytest.mark.parametrize("answer", ["(c)2013 PI, C-863.11, 1, 1.0", "0", "E-727"])
def test_another_controller_is_refused(answer):
    with expected_protocol(PIE727, [("*IDN?", answer)]) as stage, pytest.raises(WrongInstrumentError, match="E-727"):
        stage.start()


def test_start_switches_the_servo_on_only_where_it_is_off():
    servo = [("SVO? 1 2", "1=1 \n2=0"), ("SVO 1 1 2 1\nERR?", "0"), ("SVO? 1 2", "1=1 \n2=1")]
    with expected_protocol(PIE727, [*IDN, ("ERR?", "10"), *servo, *LIMITS, *VELOCITY]) as stage:
        stage.start()
    with expected_protocol(PIE727, [*IDN, ("ERR?", "0"), ("SVO? 1 2", "1=1 \n2=1"), *LIMITS, *VELOCITY]) as stage:
        stage.start()


def test_a_servo_that_stays_off_is_an_error():
    servo = [("SVO? 1 2", "1=1 \n2=0"), ("SVO 1 1 2 1\nERR?", "0"), ("SVO? 1 2", "1=1 \n2=0")]
    with expected_protocol(PIE727, servo) as stage, pytest.raises(RefusedError, match="servo stays off"):
        stage.switch_servo_on()


@pytest.mark.parametrize(
    ("name", "pairs", "value"),
    [
        ("limits_um", LIMITS, ((0.0, 200.0), (0.0, 200.0))),
        ("velocity_um_s", VELOCITY, (1000.0, 1000.0)),
        ("position_um", [("POS? 1 2", "1=-8.45709419e+01 \n2=100.0001")], (-84.5709419, 100.0001)),
        ("on_target", [("ONT? 1 2", "1=1 \n2=0")], False),
        ("on_target", [("ONT? 1 2", "1=1 \n2=1")], True),
        ("servo_on", [("SVO? 1 2", "1=1 \n2=1")], True),
        ("overflow", [("OVF? 1 2", "1=0 \n2=1")], True),
    ],
)
def test_every_property(name, pairs, value):
    with expected_protocol(PIE727, pairs) as stage:
        assert getattr(stage, name) == value


def test_axes_may_have_other_names():
    with expected_protocol(PIE727, [("POS? A B", "A=1.0 \nB=2.0")], axes=("A", "B")) as stage:
        assert stage.position_um == (1.0, 2.0)


def test_a_move_is_commanded_awaited_and_read_back():
    there = [("POS? 1 2", "1=12.49 \n2=100.01")]
    with expected_protocol(PIE727, [*LIMITS, *AT_ORIGIN, *MOVE, *VELOCITY, *ARRIVED, *there]) as stage:
        assert stage.move_to(12.5, 100.0) == (12.49, 100.01)


def test_a_move_that_ends_elsewhere_raises():
    elsewhere = [("POS? 1 2", "1=11.0 \n2=100.0")]
    with (
        expected_protocol(PIE727, [*LIMITS, *AT_ORIGIN, *MOVE, *VELOCITY, *ARRIVED, *elsewhere]) as stage,
        pytest.raises(MoveError, match=r"asked for \(12.500, 100.000\) µm, stands at \(11.000, 100.000\) µm"),
    ):
        stage.move_to(12.5, 100.0)


def test_a_move_that_never_settles_is_stopped():
    stuck = [("ONT? 1 2", "1=0 \n2=0"), ("STP\nERR?", "10"), ("POS? 1 2", "1=3.0 \n2=4.0"), ("OVF? 1 2", "1=1 \n2=0")]
    with (
        expected_protocol(PIE727, [*LIMITS, *AT_ORIGIN, *MOVE, *VELOCITY, *stuck], settle_wait_s=-10.0) as stage,
        pytest.raises(MoveError, match="servo is saturated"),
    ):
        stage.move_to(12.5, 100.0)


@pytest.mark.parametrize("position", [(-0.1, 0.0), (0.0, 212.0), (float("nan"), 0.0), (float("inf"), 0.0)])
def test_a_target_outside_the_travel_is_never_sent(position):
    with expected_protocol(PIE727, LIMITS) as stage, pytest.raises(LimitError, match=r"allowed 0.0 to 200.0 µm"):
        stage.move_to(*position)


def test_a_refused_move_names_the_error():
    refused = [("MOV 1 12.500000 2 100.000000\nERR?", "5")]
    with (
        expected_protocol(PIE727, [*LIMITS, *AT_ORIGIN, *refused]) as stage,
        pytest.raises(RefusedError, match="error 5, servo is off"),
    ):
        stage.move_to(12.5, 100.0)


def test_stop_expects_the_error_that_stopping_leaves_and_no_other():
    with expected_protocol(PIE727, [("STP\nERR?", "10"), ("STP\nERR?", "0")]) as stage:
        stage.stop()
        stage.stop()
    with expected_protocol(PIE727, [("STP\nERR?", "2")]) as stage, pytest.raises(RefusedError, match="unknown command"):
        stage.stop()


def test_after_a_bad_answer_everything_late_is_skipped():
    pairs = [*IDN, ("POS? 1 2", "garbage"), ("*IDN?", "1=7.0 \n"), (None, IDN[0][1]), ("POS? 1 2", "1=1.0 \n2=2.0")]
    with expected_protocol(PIE727, pairs) as stage:
        _ = stage.identity
        with pytest.raises(BadReplyError, match="'garbage'"):
            _ = stage.position_um
        assert stage.position_um == (1.0, 2.0)


@pytest.mark.parametrize("answer", ["1=0.5 \n2=1", "1=2 \n2=1", "1=1", "1=1 \n2=1 \n3=1", "2=1 \n1=1", "1=1 \n1=1"])
def test_flags_are_zero_or_one_for_exactly_our_axes(answer):
    with expected_protocol(PIE727, [("ONT? 1 2", answer)]) as stage, pytest.raises(BadReplyError):
        _ = stage.on_target


@given(st.text(alphabet=st.sampled_from("12=. \ne+-09aNif\x00ÿ"), max_size=40))
def test_any_answer_is_an_error_or_two_finite_numbers(answer):
    with contextlib.suppress(ValueError):
        values = parse_items(answer, ("1", "2"))
        assert len(values) == 2
        assert all(abs(value) < float("inf") for value in values)
        assert answer.count("=") == 2


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_written_values_are_read_back(values):
    items = tuple(str(number + 1) for number in range(len(values)))
    answer = " \n".join(f"{item}={value!r}" for item, value in zip(items, values, strict=True))
    assert parse_items(answer, items) == values


@given(st.text(alphabet=st.characters(codec="ascii", categories=("L", "N", "P", "S", "Zs")), max_size=8))
def test_any_error_register_is_an_error_or_zero(answer):
    with expected_protocol(PIE727, [("STP\nERR?", answer), *([(None, "0")] if answer.endswith(" ") else [])]) as stage:
        try:
            stage.stop()
        except InstrumentError:
            assert answer not in ("0", "10")
        else:
            assert int(answer.strip() if not answer.endswith(" ") else answer + "0") in (0, 10)


LINE = Line((20.0, 40.0), (30.0, 40.0), pixels=2, pixel_s=0.2)
AT_START = [
    *LIMITS, ("POS? 1 2", "1=20.0 \n2=40.0"), ("MOV 1 20.000000 2 40.000000\nERR?", "0"), *VELOCITY,
    ("ONT? 1 2", "1=1 \n2=1"), ("POS? 1 2", "1=20.0 \n2=40.0"),
]  # fmt: skip
CYCLE = [("SPA? 1 234881536", "1 0xE000200=5.00000000e-05")]


def accepted(*commands):
    return [(f"{command}\nERR?", "0") for command in commands]


def test_a_line_by_the_wave_generator():
    prepared = accepted(
        "TWC", "WAV 1 X LIN 20 10.000000 20.000000 20 0 0", "WSL 1 1", "WGC 1 1",
        "WAV 2 X LIN 20 0.000000 40.000000 20 0 0", "WSL 2 2", "WGC 2 1", "WTR 0 400 1", "TWS 1 1 1 1 11 1",
        "CTO 1 3 4", "WGO 1 1 2 1",
    )  # fmt: skip
    running = [(b"\x09", "3"), (b"\x09", "0"), ("ONT? 1 2", "1=1 \n2=1")]
    end = [("POS? 1 2", "1=30.0 \n2=40.0")]
    pairs = [*AT_START, *CYCLE, *prepared]
    with expected_protocol(PIE727, [*pairs, *running, *end]) as stage:
        stage.start_line(LINE)
        assert stage.line_running
        assert stage.finish_line() == (30.0, 40.0)


def test_a_line_by_the_distance_trigger_puts_the_velocity_back():
    begun = accepted(
        "CTO 1 2 1 1 3 0 1 1 5.000000 1 8 20.000000 1 9 30.000000", "VEL 1 25.000000 2 1000.000000",
        "MOV 1 30.000000 2 40.000000",
    )  # fmt: skip
    end = [("ONT? 1 2", "1=1 \n2=1"), ("POS? 1 2", "1=30.0 \n2=40.0"), *accepted("VEL 1 1000.000000 2 1000.000000")]
    with expected_protocol(PIE727, [*AT_START, *begun, *end], line_by="distance") as stage:
        stage.start_line(LINE)
        stage.finish_line()


def test_a_wave_that_is_refused_leaves_no_line_behind():
    refused = [("TWC\nERR?", "2")]
    with expected_protocol(PIE727, [*AT_START, *CYCLE, *refused]) as stage:
        with pytest.raises(RefusedError, match="unknown command"):
            stage.start_line(LINE)
        with pytest.raises(MoveError, match="no line was begun"):
            stage.finish_line()


@given(pixels=st.integers(1, 8192), pixel_s=st.floats(1e-4, 10.0))
def test_a_wave_lasts_as_long_as_its_line_and_starts_every_pixel(pixels, pixel_s):
    wave = plan_wave(Line((0.0, 0.0), (1.0, 0.0), pixels, pixel_s), 50e-6)
    assert wave.points <= 8192
    assert wave.points * wave.cycles * 50e-6 == pytest.approx(pixels * pixel_s, rel=0.3)
    assert len(wave.pixel_starts) == pixels
    assert wave.pixel_starts[0] == 1
    assert wave.pixel_starts[-1] <= wave.points


@pytest.mark.parametrize(("pixels", "pixel_s"), [(9000, 0.1), (10, 1e-5)])
def test_lines_that_no_wave_table_holds_are_refused(pixels, pixel_s):
    with pytest.raises(ValueError, match=r"divide the line|choose a longer"):
        plan_wave(Line((0.0, 0.0), (1.0, 0.0), pixels, pixel_s), 50e-6)


@given(st.text(alphabet=st.sampled_from("1 0xE2=5.e-"), max_size=24))
def test_any_servo_cycle_is_an_error_or_positive(answer):
    pairs = [(CYCLE[0][0], answer), *([(None, "")] if answer.endswith(" ") else [])]
    with expected_protocol(PIE727, pairs) as stage:
        try:
            assert 0 < stage.servo_cycle_s < float("inf")
        except InstrumentError:
            return
        assert answer.startswith("1 ")


def test_an_unprintable_answer_is_a_bad_reply():
    with expected_protocol(PIE727, [("STP\nERR?", "\x000")]) as stage, pytest.raises(BadReplyError, match="printable"):
        stage.stop()
