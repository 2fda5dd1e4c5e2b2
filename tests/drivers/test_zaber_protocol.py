"""The Zaber driver, byte for byte, without a wire."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymeasure.test import expected_protocol

from halidescope.drivers.errors import BadReplyError, LimitError, MoveError, RefusedError
from halidescope.drivers.roles import Line
from halidescope.drivers.zaber import ZaberStage, checksum, parse_reply


def chain(*steps):
    """Numbered frames and their replies; a step is (device, axis, words, data, status, warning)."""
    pairs = []
    for number, (device, axis, words, data, *more) in zip(itertools.count(1), steps, strict=False):
        status, warning = (*more, *("IDLE", "--")[len(more) :])
        body = f"{device} {axis} {number:02d}{' ' if words else ''}{words}"
        reply = f"{device:02d} {axis} {number:02d} {'RJ' if data.isupper() else 'OK'} {status} {warning} {data}"
        pairs.append((f"/{body}:{checksum(body)}", f"@{reply}:{checksum(reply)}\r"))
    return pairs


def both(words, x, y, *more):
    return [(1, 1, words, x, *more), (2, 1, words, y, *more)]


STEP = {"full_step_um": 12.8}
RESOLUTION = both("get resolution", "256", "256")    # 12.8 µm / 256 = 0.05 µm
IDENTITY = [
    (1, 0, "get system.axiscount", "1"), (1, 0, "get deviceid", "50081"), (2, 0, "get deviceid", "50082"),
    (1, 0, "get version", "7.35"), (2, 0, "get version", "7.35"),
    (1, 0, "get system.serial", "101"), (2, 0, "get system.serial", "102"),
]  # fmt: skip
LIMITS = [*both("get limit.min", "0", "0"), *both("get limit.max", "4000", "4000"), *RESOLUTION]
VELOCITY = both("get maxspeed", "16384", "16384")
MOVED = [*both("get pos", "0", "0"), *both("", "0", "0"), *both("move abs 250", "0", "0", "BUSY")[:1],
         (2, 1, "move abs 2000", "0", "BUSY")]  # fmt: skip


def test_identity_of_a_chain():
    with expected_protocol(ZaberStage, chain(*IDENTITY)) as stage:
        assert stage.identity.serial == "101+102"
        assert stage.identity.model == "50081+50082"


def test_identity_of_a_controller_with_two_axes():
    steps = [(1, 0, "get system.axiscount", "2"), (1, 0, "get deviceid", "30222"), (1, 0, "get version", "7.35"),
             (1, 0, "get system.serial", "9"), (1, 1, "get pos", "20"), (1, 2, "get pos", "40"),
             (1, 1, "get resolution", "256"), (1, 2, "get resolution", "256")]  # fmt: skip
    with expected_protocol(ZaberStage, chain(*steps), **STEP) as stage:
        assert stage.identity.serial == "9"
        assert stage.position_um == pytest.approx((1.0, 2.0))


def test_start_moves_nothing_unless_homing_is_asked_for():
    ready = both("", "0", "0", "IDLE", "WR")
    with expected_protocol(ZaberStage, chain(*IDENTITY, *ready, *LIMITS, *VELOCITY), **STEP) as stage:
        stage.start()
        assert stage.limits_um == ((0.0, 200.0), (0.0, 200.0))
        assert stage.velocity_um_s == pytest.approx((500.0, 500.0))
    lost = [(1, 1, "", "0", "IDLE", "WR")]
    homed = [*both("home", "0", "0", "BUSY"), *both("", "0", "0", "BUSY"), *both("", "0", "0")]
    steps = [*IDENTITY, *ready, *lost, *homed, *LIMITS, *VELOCITY]
    with expected_protocol(ZaberStage, chain(*steps), home=True, **STEP) as stage:
        stage.start()


def test_a_move_is_in_microsteps_awaited_and_compared():
    way = [*both("", "0", "0", "BUSY"), *both("", "0", "0")]
    steps = [*LIMITS, *MOVED, *VELOCITY, *way, *both("get pos", "250", "1999")]
    with expected_protocol(ZaberStage, chain(*steps), **STEP) as stage:
        assert stage.move_to(12.5, 100.0) == pytest.approx((12.5, 99.95))


def test_a_move_that_ends_elsewhere_raises():
    steps = [*LIMITS, *MOVED, *VELOCITY, *both("", "0", "0"), *both("get pos", "10", "1999")]
    with expected_protocol(ZaberStage, chain(*steps), **STEP) as stage, pytest.raises(MoveError, match="stands at"):
        stage.move_to(12.5, 100.0)


def test_without_reference_no_move_is_sent():
    steps = [*LIMITS, *both("get pos", "0", "0"), (1, 1, "", "0", "IDLE", "WR")]
    with expected_protocol(ZaberStage, chain(*steps), **STEP) as stage, pytest.raises(RefusedError, match="call home"):
        stage.move_to(12.5, 100.0)


def test_a_fault_flag_is_told_in_words():
    steps = both("", "0", "0", "IDLE", "FS")
    with expected_protocol(ZaberStage, chain(*steps)) as stage, pytest.raises(MoveError, match="stalled"):
        _ = stage.moving


def test_a_target_outside_the_travel_is_never_sent():
    with expected_protocol(ZaberStage, chain(*LIMITS), **STEP) as stage, pytest.raises(LimitError):
        stage.move_to(200.1, 0.0)


def test_a_rejection_is_told_in_words():
    with (
        expected_protocol(ZaberStage, chain((1, 1, "get nonsense", "BADCOMMAND"))) as stage,
        pytest.raises(RefusedError, match=r"device 1 axis 1 refused 'get nonsense': BADCOMMAND, unknown"),
    ):
        stage.get(1, 1, "nonsense")


def test_stop_stops_both():
    with expected_protocol(ZaberStage, chain(*both("stop", "0", "0"))) as stage:
        stage.stop()


def test_alerts_information_and_late_replies_are_skipped():
    (sent, reply), = chain((1, 1, "get pos", "7"))
    pairs = [(sent, "!01 1 IDLE --\r"), (None, "#01 1 note\r"), (None, "@01 1 98 OK IDLE -- 5\r"), (None, reply)]
    with expected_protocol(ZaberStage, pairs) as stage:
        assert stage.get(1, 1, "pos") == 7


def test_a_reply_of_another_axis_is_a_bad_reply():
    (sent, _), = chain((1, 1, "get pos", "7"))
    with (
        expected_protocol(ZaberStage, [(sent, "@02 1 01 OK IDLE -- 7\r")]) as stage,
        pytest.raises(BadReplyError, match="device 2"),
    ):
        stage.get(1, 1, "pos")


def test_a_line_gives_a_pulse_a_pixel_and_puts_everything_back():
    start = [*both("get pos", "400", "800"), *both("", "0", "0"), (1, 1, "move abs 400", "0"),
             (2, 1, "move abs 800", "0"), *VELOCITY, *both("", "0", "0"), *both("get pos", "400", "800")]  # fmt: skip
    begin = [(1, 0, "trigger dist 1 1 100", "0"), (1, 0, "trigger 1 action a io do 1 toggle", "0"),
             (1, 0, "trigger dist 1 enable", "0"), (1, 1, "set maxspeed 819", "0"), (2, 1, "set maxspeed 16384", "0"),
             *both("", "0", "0"), (1, 1, "move abs 600", "0"), (2, 1, "move abs 800", "0")]  # fmt: skip
    end = [*both("", "0", "0"), *both("get pos", "600", "800"), *both("set maxspeed 16384", "0", "0"),
           (1, 0, "trigger dist 1 disable", "0")]  # fmt: skip
    with expected_protocol(ZaberStage, chain(*LIMITS, *start, *begin, *end), **STEP) as stage:
        stage.start_line(Line((20.0, 40.0), (30.0, 40.0), pixels=2, pixel_s=0.2))
        assert stage.finish_line() == pytest.approx((30.0, 40.0))


def test_a_driver_that_is_off_is_enabled_on_connecting():
    steps = [(1, 1, "", "0", "IDLE", "FO"), (1, 1, "driver enable", "0"), (2, 1, "", "0")]
    with expected_protocol(ZaberStage, chain(*steps)) as stage:
        stage.make_ready()


def test_a_full_step_has_a_length():
    with pytest.raises(ValueError, match="more than 0 µm"):
        ZaberStage(None, full_step_um=0.0)


def test_checksum_makes_the_sum_zero():
    body = "1 1 02 get pos"
    assert (sum(body.encode()) + int(checksum(body), 16)) & 0xFF == 0


@given(st.text(alphabet=st.sampled_from("@01 2OKRJIDLEBUSY-W:FH.\x00ÿ"), max_size=40))
def test_any_line_is_an_error_or_a_reply(line):
    try:
        reply = parse_reply(line)
    except ValueError:
        return
    assert line.startswith(f"@{reply.device:02d} {reply.axis} ")


@given(
    st.integers(0, 99), st.integers(0, 9), st.integers(0, 99), st.booleans(), st.booleans(), st.integers(),
    st.integers(0),
)
def test_written_replies_are_read_back_and_one_wrong_bit_is_found(device, axis, number, accepted, busy, data, place):
    body = f"{device:02d} {axis} {number:02d} {'OK' if accepted else 'RJ'} {'BUSY' if busy else 'IDLE'} -- {data}"
    line = f"@{body}:{checksum(body)}"
    reply = parse_reply(line)
    assert (reply.device, reply.axis, reply.id, reply.accepted, reply.busy) == (device, axis, number, accepted, busy)
    assert int(reply.data) == data
    place = 1 + place % len(body)
    with pytest.raises(ValueError, match=r"no reply|checksum"):
        parse_reply(line[:place] + chr(ord(line[place]) ^ 1) + line[place + 1 :])
