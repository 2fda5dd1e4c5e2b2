"""Light only inside, dark and proven outside, whatever happens inside; and limits before anything is sent."""

import pytest

from halidescope.acquisition.clock import Clock
from halidescope.acquisition.dose import DoseLedger
from halidescope.acquisition.microscope import parse_microscope
from halidescope.acquisition.problems import RefusedRunError
from halidescope.acquisition.safety import Beam, DarknessAskedError, darken
from halidescope.drivers.errors import ConnectionLostError, InterlockError, LaserFaultError, NotDarkError

from .conftest import until
from .fakes import FakeLaser

MICROSCOPE = parse_microscope("""
[laser]
model = "fake"
resource = "nowhere"
sample_uw_per_head_mw = 4.0
max_sample_uw = 300.0
[stage]
model = "fake"
resource = "nowhere"
[spectrometer]
model = "fake"
resource = "nowhere"
""")


class World:
    """A beam with a laser, and all that it announces."""

    def __init__(self, laser: FakeLaser, spare: FakeLaser | None = None) -> None:
        self.laser = laser
        self.announced: list[bool] = []
        self.told: list[str] = []
        self.ledger = DoseLedger(1.0)
        self.beam = Beam(
            MICROSCOPE, laser, Clock(1000.0), self.ledger, reconnect=lambda: spare or laser,
            announce=self.announced.append, told=self.told.append,
        )


def test_light_inside_and_proven_dark_outside():
    world = World(FakeLaser())
    world.beam.set_power(120.0)
    assert world.laser.power_setpoint_mw == 30.0
    with world.beam.lit():
        assert world.laser.emission
        assert world.beam.irradiance_w_cm2 == pytest.approx(2 * 120e-6 / (3.14159265 * 1e-8), rel=1e-6)
    assert not world.laser.emission
    assert world.announced == [True, False]
    assert world.beam.irradiance_w_cm2 == 0.0


@pytest.mark.parametrize("breaks", [ValueError("ours"), KeyboardInterrupt(), SystemExit(1), NotDarkError("x", "y")])
def test_every_way_out_is_dark(breaks):
    world = World(FakeLaser())
    with pytest.raises(type(breaks)), world.beam.lit():
        raise breaks
    assert not world.laser.emission


def test_an_open_interlock_leaves_it_dark_too():
    world = World(FakeLaser(interlock_closed=False))
    with pytest.raises(InterlockError), world.beam.lit():
        pytest.fail("was lit")
    assert world.laser.calls[-1] == "off"
    with pytest.raises(InterlockError, match="close the loop"):
        world.beam.require_ready()


def test_a_laser_that_stopped_by_itself_is_noticed():
    world = World(FakeLaser())
    with world.beam.lit():
        world.beam.require_lit()
        world.laser.emission = False
        with pytest.raises(LaserFaultError, match="stopped emitting by itself"):
            world.beam.require_lit()


def test_switching_off_is_tried_again():
    laser = FakeLaser(emission=True, stuck=1)
    assert darken(laser, lambda: pytest.fail("no new connection needed")) is laser
    assert laser.calls == ["off", "off"]


def test_switching_off_goes_over_a_new_connection_when_the_old_one_is_lost():
    spare = FakeLaser(emission=True)
    world = World(FakeLaser(), spare)
    with world.beam.lit():
        world.laser.lost = True
    assert not spare.emission
    assert world.laser.closed
    assert world.beam.laser is spare
    assert world.announced[-1] is False


def test_a_library_that_trips_over_its_words_does_not_end_the_tries():
    class Stumbling(FakeLaser):
        def turn_off(self):
            raise ValueError("could not convert string to float")

        def close(self):
            raise InterlockError(self.device, "not while closing")

    spare = FakeLaser(emission=True)
    assert darken(Stumbling(emission=True), lambda: spare) is spare
    assert not spare.emission


def test_a_beam_that_was_retired_neither_lights_nor_connects():
    world = World(FakeLaser(), FakeLaser())
    with world.beam.lit():
        world.beam.darken()
        world.laser.close()
        world.beam.retire()
        world.laser.lost = True
    assert world.beam.laser is world.laser      # dark long ago: no new connection was made to prove it once more
    with pytest.raises(ConnectionLostError, match="was disconnected"), world.beam.lit():
        pytest.fail("was lit")
    assert world.announced == [True, False]


def test_light_that_could_not_be_proven_off_is_fought_until_it_is(monkeypatch):
    monkeypatch.setattr("halidescope.acquisition.safety.INSIST_S", 0.01)
    world = World(FakeLaser())
    with pytest.raises(NotDarkError), world.beam.lit():
        world.laser.lost = True
    assert world.laser.emission
    tried = len(world.laser.calls)
    until(lambda: len(world.laser.calls) > tried + 6, "further tries")
    world.beam.give_up()
    tried = len(world.laser.calls)
    world.beam.insist()
    until(lambda: len(world.laser.calls) > tried, "tries after all")
    world.laser.lost = False      # the line is back
    until(lambda: world.told, "a word")
    assert world.told == ["laser fake (nowhere): emission proven off at last"]
    assert not world.laser.emission
    assert not world.beam.on
    assert world.announced == [True, False]


@pytest.mark.parametrize("laser", [FakeLaser(stuck=99), FakeLaser(lying=True)])
def test_a_laser_that_cannot_be_proven_dark_is_loud(laser):
    world = World(laser)
    with pytest.raises(NotDarkError, match=r"laser fake \(nowhere\): emission could not be proven off .*key"), (
        world.beam.lit()
    ):
        pass
    world.beam.give_up()
    assert world.announced == [True]     # the watchdog goes on believing that it is lit
    assert world.beam.on


def test_asking_for_darkness_forbids_light_until_it_is_allowed_again():
    world = World(FakeLaser())
    with world.beam.lit():
        world.beam.dark_now()
        assert not world.laser.emission
    with pytest.raises(DarknessAskedError), world.beam.lit():
        pytest.fail("was lit")
    world.beam.allow()
    with world.beam.lit():
        assert world.laser.emission


@pytest.mark.parametrize(
    ("sample_uw", "words"),
    [(301.0, "allowed up to 300 µW"), (450.0, "needs 112.5 mW of the head, allowed 0 to 100 mW")],
)
def test_powers_beyond_a_limit_never_reach_the_laser(sample_uw, words):
    world = World(FakeLaser())
    with pytest.raises(RefusedRunError, match=words):
        world.beam.set_power(sample_uw)
    assert world.laser.calls == []
