"""What every stage driver must do, over the wire."""

import math
import threading

import pytest

from halidescope.drivers.errors import InstrumentError, LimitError, MoveError, RefusedError


@pytest.fixture
def stage(wire):
    return wire.connect("stage", settle_wait_s=0.5)


class TestStage:
    def test_names_itself(self, stage, wire):
        assert stage.device == f"stage {wire.devices['stage'].model} ({wire.devices['stage'].resource})"
        assert stage.identity.serial

    def test_it_can_move_after_construction(self, stage):
        assert stage.servo_on
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
        with pytest.raises(MoveError, match=r"was stopped at|stands at"):
            stage.move_to(150.0, 150.0)
        wire.mend()
        assert stage.move_to(150.0, 150.0) == pytest.approx((150.0, 150.0), abs=stage.tolerance_um)

    def test_without_servo_the_move_is_refused(self, stage, wire):
        wire.fault("stage-servo-off")
        with pytest.raises(RefusedError, match="servo is off"):
            stage.move_to(20.0, 20.0)
        wire.mend()
        stage.switch_servo_on()
        assert stage.move_to(20.0, 20.0) == pytest.approx((20.0, 20.0), abs=stage.tolerance_um)

    def test_stop_is_no_error(self, stage):
        stage.stop()
        stage.stop()
        stage.move_to(5.0, 5.0)

    def test_stopped_from_another_thread_the_move_is_not_done(self, stage, wire):
        stage.move_to(0.0, 0.0)
        wire.fault("stage-stall")    # so that the move is surely still on its way
        outcome = []

        def move():
            try:
                outcome.append(stage.move_to(180.0, 180.0))
            except InstrumentError as error:
                outcome.append(error)

        thread = threading.Thread(target=move)
        thread.start()
        stage.stop()
        thread.join(timeout=10.0)
        assert isinstance(outcome[0], MoveError)

    def test_queries_from_many_threads_do_not_mix(self, stage):
        stage.move_to(30.0, 120.0)
        wrong = []

        def ask():
            for _ in range(100):
                x, y = stage.position_um
                (x_min, x_max), _ = stage.query("TMN?"), stage.query("TMX?")
                if abs(x - 30.0) > 0.5 or abs(y - 120.0) > 0.5 or (x_min, x_max) != (0.0, 0.0):
                    wrong.append((x, y, x_min, x_max))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30.0)
        assert wrong == []

    def test_unknown_command_is_refused(self, stage):
        with pytest.raises(RefusedError, match="unknown command"):
            stage.command("XYZ 1 2")

    def test_reconnected_it_moves_again(self, stage, wire):
        wire.fault("connection-drop")
        with pytest.raises(InstrumentError):
            _ = stage.position_um
        wire.mend()
        stage.reconnect()
        assert stage.move_to(7.0, 8.0) == pytest.approx((7.0, 8.0), abs=stage.tolerance_um)
