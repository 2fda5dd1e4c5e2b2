"""What every stage driver must do, over the wire."""

import itertools
import math
import threading

import numpy as np
import pytest

from halidescope.drivers.catalogue import MODELS
from halidescope.drivers.errors import InstrumentError, LimitError, MoveError, RefusedError, WrongInstrumentError
from halidescope.drivers.roles import Line, LineScanner
from halidescope.simulators.models import MODELS as SIMULATED

STAGES = [
    f"{name} {variant}".strip()
    for name, entry in MODELS.items() if entry.role == "stage"
    for variant in ("", *SIMULATED[name].variants)
]


@pytest.fixture(params=STAGES)
def models(request):
    stage, _, variant = request.param.partition(" ")
    return {"laser": None, "stage": stage, "spectrometer": None, "stage_variant": variant or None}


@pytest.fixture
def stage(wire):
    settings = {"home": True} if wire.devices["stage"].model == "zaber-ascii" else {}
    return wire.connect("stage", **settings)


class TestStage:
    def test_names_itself(self, stage, wire):
        assert stage.device == f"stage {wire.devices['stage'].model} ({wire.devices['stage'].resource})"
        assert stage.identity.serial or stage.model == "asi-ms2000"    # which has none to ask for
        assert stage.identity.firmware

    def test_it_can_move_after_construction(self, stage):
        assert all(velocity > 0 for velocity in stage.velocity_um_s)
        for lowest, highest in stage.limits_um:
            assert highest > lowest

    def test_goes_where_it_is_sent(self, stage, wire):
        x, y = stage.move_to(12.5, 100.0)
        assert math.hypot(x - 12.5, y - 100.0) <= stage.tolerance_um
        assert wire.get("stage.position_um")[:2] == pytest.approx([12.5, 100.0], abs=stage.tolerance_um)
        assert stage.position_um == pytest.approx((12.5, 100.0), abs=stage.tolerance_um)

    def test_limits_refuse_before_sending(self, stage):
        before = stage.move_to(50.0, 50.0)
        (x_min, x_max), (y_min, y_max) = stage.limits_um
        for target in ((x_max + 12, 0.0), (x_min - 0.1, 0.0), (0.0, y_max + 0.1), (0.0, y_min - 1), (math.nan, 0.0)):
            with pytest.raises(LimitError, match=r"µm asked, allowed .* to .* µm"):
                stage.move_to(*target)
        assert stage.position_um == pytest.approx(before, abs=stage.tolerance_um)

    def test_corners_are_inside(self, stage):
        (x_min, x_max), (y_min, y_max) = stage.limits_um
        for corner in ((x_min, y_min), (x_max, y_max)):
            assert stage.move_to(*corner) == pytest.approx(corner, abs=stage.tolerance_um)

    def test_blocked_move_raises_and_the_next_succeeds(self, stage, wire):
        stage.move_to(10.0, 10.0)
        wire.fault("stage-stall")
        stage.settle_wait_s, patient_s = 0.1, stage.settle_wait_s
        with pytest.raises(MoveError, match=r"was stopped at|stands at|stalled"):
            stage.move_to(150.0, 150.0)
        wire.mend()
        stage.settle_wait_s = patient_s
        assert stage.move_to(150.0, 150.0) == pytest.approx((150.0, 150.0), abs=stage.tolerance_um)

    def test_without_servo_the_move_is_refused(self, stage, wire):
        wire.fault("stage-servo-off")
        with pytest.raises(RefusedError, match=r"servo is off|driver is off|motor is off"):
            stage.move_to(20.0, 20.0)
        wire.mend()
        stage.reconnect()
        assert stage.move_to(20.0, 20.0) == pytest.approx((20.0, 20.0), abs=stage.tolerance_um)

    def test_stop_is_no_error(self, stage):
        stage.stop()
        stage.stop()
        stage.move_to(5.0, 5.0)

    def test_stopped_from_another_thread_the_move_is_not_done(self, stage, wire):
        stage.move_to(0.0, 0.0)
        wire.fault("stage-stall")    # so that the move is surely still on its way
        moves_s, outcome = wire.watch_moves(), []

        def move():
            try:
                outcome.append(stage.move_to(180.0, 180.0))
            except InstrumentError as error:
                outcome.append(error)

        thread = threading.Thread(target=move)
        thread.start()
        while not moves_s and thread.is_alive():
            pass                     # a drive that finds itself stalled has ended the move already
        stage.stop()
        thread.join(timeout=60.0)
        assert isinstance(outcome[0], MoveError)

    def test_queries_from_many_threads_do_not_mix(self, stage):
        stage.move_to(30.0, 120.0)
        wrong, right = [], stage.limits_um

        def ask():
            for _ in range(100):
                x, y = stage.position_um
                limits = stage.read_limits_um()
                if abs(x - 30.0) > 0.5 or abs(y - 120.0) > 0.5 or limits != right:
                    wrong.append((x, y, limits))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60.0)
        assert wrong == []

    def test_unknown_command_is_refused(self, stage):
        with pytest.raises(RefusedError, match=r"XYZ.*unknown"):
            stage.exchange(1, 1, "XYZ") if stage.model == "zaber-ascii" else stage.command("XYZ 1 2")

    def test_reconnected_it_moves_again_with_its_velocity(self, stage, wire):
        stage.set_velocity(900.0, 800.0)
        wire.fault("connection-drop")
        with pytest.raises(InstrumentError):
            _ = stage.position_um
        wire.mend()
        stage.reconnect()
        assert stage.velocity_um_s == pytest.approx((900.0, 800.0), rel=1e-3)
        assert stage.move_to(7.0, 8.0) == pytest.approx((7.0, 8.0), abs=stage.tolerance_um)


@pytest.fixture
def scanner(stage):
    if stage.model == "pi-e727":
        try:
            stage.command("TWC")
        except RefusedError:
            pytest.skip("this simulated controller has no wave generator")
    return stage


class TestLineScanner:
    def test_runs_along_a_line_in_the_time_that_was_asked(self, scanner, wire):
        assert isinstance(scanner, LineScanner)
        before = scanner.velocity_um_s
        line = Line((20.0, 40.0), (120.0, 40.0), pixels=20, pixel_s=0.5)
        moves_s = wire.watch_moves()
        scanner.start_line(line)
        begun_s, over_s = moves_s[-1], wire.moved_until_s()
        assert over_s - begun_s == pytest.approx(line.duration_s, rel=0.3)
        assert wire.stage_at(0.5 * (begun_s + over_s))[0] == pytest.approx(70.0, abs=10.0)
        seen = [scanner.position_um]
        while scanner.line_running:
            seen.append(scanner.position_um)
        assert scanner.finish_line() == pytest.approx((120.0, 40.0), abs=scanner.tolerance_um)
        assert all(later[0] >= earlier[0] - 0.2 for earlier, later in itertools.pairwise(seen))
        assert all(abs(y - 40.0) < 0.5 for _, y in seen)
        assert scanner.velocity_um_s == pytest.approx(before, rel=1e-3)

    def test_a_slanted_line_keeps_to_its_straight(self, scanner, wire):
        moves_s = wire.watch_moves()
        scanner.start_line(Line((20.0, 100.0), (80.0, 20.0), pixels=10, pixel_s=3.0))
        begun_s, over_s = moves_s[-1], wire.moved_until_s()
        for share in np.linspace(0.0, 1.0, 20):
            x, y = wire.stage_at(begun_s + share * (over_s - begun_s))
            assert y - 100.0 == pytest.approx(-(x - 20.0) * 80.0 / 60.0, abs=4.0)    # an axis sets out after the other
        scanner.finish_line()

    def test_a_line_outside_the_travel_is_refused_before_anything_moves(self, scanner):
        here = scanner.move_to(30.0, 30.0)
        beyond = scanner.limits_um[0][1] + 5.0
        with pytest.raises(LimitError):
            scanner.start_line(Line((50.0, 30.0), (beyond, 30.0), pixels=10, pixel_s=0.1))
        assert scanner.position_um == pytest.approx(here, abs=scanner.tolerance_um)

    def test_a_blocked_line_raises_and_the_velocity_is_put_back(self, scanner, wire):
        before = scanner.velocity_um_s
        moves_s = wire.watch_moves()
        scanner.move_to(20.0, 40.0)
        wire.fault("stage-stall", after=len(moves_s))     # not on its way to the line's start, which is the same way
        scanner.settle_wait_s = 0.1
        scanner.start_line(Line((20.0, 40.0), (120.0, 40.0), pixels=10, pixel_s=0.02))
        with pytest.raises(MoveError):
            scanner.finish_line()
        wire.mend()
        scanner.settle_wait_s = 3.0
        assert scanner.velocity_um_s == pytest.approx(before, rel=1e-3)
        assert scanner.move_to(10.0, 10.0) == pytest.approx((10.0, 10.0), abs=scanner.tolerance_um)

    def test_a_line_that_is_abandoned_stops_at_once_and_leaves_no_trace(self, scanner, wire):
        before = scanner.velocity_um_s
        scanner.abandon_line()                # none was begun
        scanner.start_line(Line((20.0, 40.0), (120.0, 40.0), pixels=20, pixel_s=10.0))
        scanner.abandon_line()
        there = wire.get("stage.position_um")
        assert there[0] < 110.0
        assert scanner.velocity_um_s == pytest.approx(before, rel=1e-3)
        assert wire.get("stage.position_um") == pytest.approx(there, abs=0.3)
        with pytest.raises(MoveError, match="no line was begun"):
            scanner.finish_line()
        assert scanner.move_to(10.0, 10.0) == pytest.approx((10.0, 10.0), abs=scanner.tolerance_um)

    def test_pulses_mark_the_pixels_or_the_line(self, scanner, wire):
        before = len(wire.get("stage.triggers_s"))
        scanner.start_line(Line((20.0, 40.0), (100.0, 40.0), pixels=8, pixel_s=0.25))
        scanner.finish_line()
        rises = wire.get("stage.triggers_s")[before:]
        assert len(rises) == (1 if scanner.model == "asi-ms2000" else 8)
        assert [later - earlier for earlier, later in itertools.pairwise(rises)] == pytest.approx(
            [0.25] * (len(rises) - 1), rel=0.05
        )

    def test_finish_without_a_line_is_an_error(self, scanner):
        with pytest.raises(MoveError, match="no line was begun"):
            scanner.finish_line()


class TestDistanceTrigger:
    """The E-727's other way to run a line, over the wire."""

    @pytest.fixture
    def models(self):
        return {"laser": None, "stage": "pi-e727", "spectrometer": None}

    def test_a_move_at_constant_velocity_gives_a_pulse_a_pixel(self, wire):
        stage = wire.connect("stage", line_by="distance")
        before = stage.velocity_um_s
        stage.start_line(Line((100.0, 40.0), (20.0, 50.0), pixels=8, pixel_s=0.25))
        assert stage.finish_line() == pytest.approx((20.0, 50.0), abs=stage.tolerance_um)
        rises = wire.get("stage.triggers_s")
        assert len(rises) in (8, 9)     # both ends lie on the grid; whether the last counts is the settling's business
        assert [later - earlier for earlier, later in itertools.pairwise(rises)] == pytest.approx(
            [0.25] * (len(rises) - 1), rel=0.05
        )
        assert stage.velocity_um_s == pytest.approx(before)


class TestTiger:
    @pytest.fixture
    def models(self):
        return {"laser": None, "stage": "asi-ms2000", "spectrometer": None, "stage_variant": "Tiger"}

    def test_the_scan_module_is_spoken_to_on_its_card(self, wire):
        stage = wire.connect("stage")
        assert stage.identity.model == "TIGER_COMM"
        assert stage.identity.firmware == "v3.21"
        assert stage.data("1SCANR R?").startswith(":A R=")
        with pytest.raises(RefusedError, match="unknown command"):
            stage.command("SCANR X=0 Y=0.01")     # the communication card has no scan module
        with pytest.raises(RefusedError, match="no such card"):
            stage.command("7SCANR X=0 Y=0.01")

    def test_axes_that_are_not_there_are_named(self, wire):
        with pytest.raises(WrongInstrumentError, match=r"no axis V; there are X, Y; give `axes`"):
            wire.connect("stage", axes=("X", "V"))


@pytest.mark.parametrize(
    ("stop", "pixels", "pixel_s"), [((0.0, 0.0), 5, 1.0), ((1.0, 0.0), 0, 1.0), ((1.0, 0.0), 5, 0.0)]
)
def test_a_line_that_is_none_cannot_be_written(stop, pixels, pixel_s):
    with pytest.raises(ValueError, match="line"):
        Line((0.0, 0.0), stop, pixels, pixel_s)
