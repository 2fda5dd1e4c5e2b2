"""The whole simulated microscope: its file, its control port, and what it refuses."""

import json
import tomllib

import pytest

from halidescope.acquisition.microscope import parse_microscope
from halidescope.simulators.microscope import SimulatedMicroscope
from halidescope.simulators.models import MODELS

FAULTS = [
    "interlock-open", "laser-fault", "stage-stall", "stage-servo-off", "spectrometer-silent", "spectrum-truncated",
    "spectrum-stale", "saturated", "slow-reply", "garbage-reply", "late-reply", "connection-drop",
]


def test_the_microscope_file_is_one(simulate) -> None:
    wires = simulate(speed=60.0)
    file = parse_microscope(wires.microscope.microscope_toml())
    assert file.speed == 60.0
    assert file.laser.max_sample_uw == 400.0
    assert file.head_mw(120.0) == pytest.approx(30.0)
    devices = {device.role: device for device in wires.microscope.devices}
    assert file.stage.resource == devices["stage"].resource
    assert file.stage.resource == f"TCPIP::127.0.0.1::{devices['stage'].port}::SOCKET"
    assert tomllib.loads(wires.microscope.microscope_toml())["spectrometer"]["model"] == "ocean-hdx"


def test_a_device_can_be_left_out(simulate) -> None:
    wires = simulate(laser=None, control_port=None)
    assert [device.role for device in wires.microscope.devices] == ["stage", "spectrometer"]
    assert wires.microscope.control is None
    with pytest.raises(ValueError, match="laser was left out"):
        wires.microscope.microscope_toml()
    assert wires.connect("stage").ask("CSV?\n") == "2.0\n"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"laser": "pointer"}, "no laser of model 'pointer' is simulated; choose one of cobolt-06-mld"),
        ({"stage": "ocean-hdx"}, "no stage of model 'ocean-hdx'"),
        ({"composition": 0.5}, "choose one of 0, 1, 1.5, 2, 3"),
        ({"speed": 0.0}, "speed must be positive"),
        ({"laser": "coherent-obis-lx", "keyed": True}, "a key switch is simulated for cobolt-06-mld only"),
    ],
)
def test_what_cannot_be_simulated_is_refused(options: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match="simulat") as caught:
        SimulatedMicroscope(**options)
    assert says in str(caught.value)


def test_a_taken_control_port_is_an_error_and_leaves_nothing_open(simulate) -> None:
    taken = simulate().microscope.control.port
    with pytest.raises(OSError, match=r"[Aa]ddress"):
        SimulatedMicroscope(control_port=taken)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_served_over_tcp_with_the_faults_of_its_role(simulate, name: str) -> None:
    wires = simulate(**{MODELS[name].role: name}, control_port=0)
    file = parse_microscope(wires.microscope.microscope_toml())
    assert getattr(file, MODELS[name].role).model == name
    control = wires.connect("control")
    for fault in FAULTS:
        assert control.tell(fault=fault) == {"ok": True}
    assert control.tell(clear="all") == {"ok": True}
    assert control.get("stage.triggers_s") == []


def test_the_file_knows_the_detectors_gain(simulate) -> None:
    wires = simulate(spectrometer="ocean-sts")
    assert parse_microscope(wires.microscope.microscope_toml()).spectrometer.electrons_per_count == 5.0


def test_a_stage_triggers_a_spectrometer(simulate, frame, pixels_of) -> None:
    """A continuous line: the stage moves at constant velocity, each of its triggers is one exposure."""
    wires = simulate(stage="zaber-ascii", speed=20.0)
    stage, spectrometer, control = (wires.connect(role) for role in ("stage", "spectrometer", "control"))
    stage.send(b"/home\n")
    assert [stage.line(), stage.line()] == [b"@01 0 OK BUSY WR 0\r\n", b"@02 0 OK BUSY WR 0\r\n"]
    while "IDLE" not in stage.ask("/1 1\n"):
        continue
    spectrometer.send(frame(0x110110, b"\x01") + frame(0x110010, (20_000).to_bytes(4, "little")) + frame(0x101000) * 4)
    for command in ("set maxspeed 839", "trigger dist 1 1 256", "trigger dist 1 enable", "move abs 1024"):
        assert " OK " in stage.ask(f"/1 {command}\n")
    for _ in range(4):
        assert pixels_of(spectrometer.exactly(4200)).mean() == pytest.approx(1000.0, abs=1.0)
    rises = control.get("stage.triggers_s")
    assert len(rises) == 4
    assert rises[1] - rises[0] == pytest.approx(0.5, rel=0.01)      # 10 µm at 20 µm/s


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_can_be_asked_for_and_cleared(simulate, fault: str) -> None:
    control = simulate().connect("control")
    assert control.tell(fault=fault, after=3) == {"ok": True}
    assert control.tell(fault=fault) == {"ok": True}
    assert control.tell(clear="all") == {"ok": True}


@pytest.mark.parametrize(
    ("request_line", "says"),
    [
        ('{"get": "laser.colour"}', "choose one of clock.now_s, laser.emission"),
        ('{"get": "film.state", "x": 1}', "y is None; give a number from 0 to 200 µm"),
        ('{"get": "film.state", "x": 1, "y": 201}', "y is 201"),
        ('{"get": "film.dose_j_cm2", "x": "1", "y": 2}', "x is '1'"),
        ('{"get": "film.law"}', "power_uw is None"),
        ('{"fault": "coffee"}', "choose one of interlock-open"),
        ('{"fault": "saturated", "after": 1.5}', "after is 1.5"),
        ('{"fault": "slow-reply", "device": "door"}', "device is 'door'"),
        ('{"fault": "slow-reply", "delay_s": -1}', "delay_s is -1"),
        ('{"clear": "some"}', 'only "all"'),
        ('{"mount": 0.7}', "choose one of 0, 1, 1.5, 2, 3"),
        ('{"slip": 3}', "how far the film slides"),
        ('{"slip": [0, 900]}', "a number from -200 to 200"),
        ('{"key": "off"}', "no laser with a key switch"),
        ('{"get": "clock.now_s", "clear": "all"}', "exactly one of"),
        ("[1]", "a JSON object"),
        ("{nonsense", "not a line of JSON"),
        ("\xff\xfe", "not a line of JSON"),
    ],
)
def test_wrong_requests_get_a_sentence(simulate, request_line: str, says: str) -> None:
    control = simulate().connect("control")
    control.send(request_line.encode("latin-1") + b"\n")
    answer = json.loads(control.line())
    assert list(answer) == ["error"]
    assert says in answer["error"]
    assert control.tell(get="laser.emission") == {"value": False}


def test_faults_of_a_device_that_is_not_there_are_refused(simulate) -> None:
    control = simulate(laser=None).connect("control")
    answer = control.tell(fault="interlock-open")
    assert "nothing here can have the fault 'interlock-open'" in answer["error"]


def test_the_truth(simulate) -> None:
    control = simulate(composition=1.5).connect("control")
    assert control.get("laser.emission") is False
    assert control.get("laser.power_mw") == 0.0
    assert control.get("stage.position_um") == [0.0, 0.0]
    assert control.get("film.dose_j_cm2", x=10, y=20) == 0.0
    state = control.get("film.state", x=10, y=20)
    assert (state["share_converted"], state["fast"], state["slow"], state["temperature_k"]) == (0.0, 0.0, 0.0, 293.0)
    law = control.get("film.law", power_uw=120)
    assert (law["k1_per_s"], law["k2_per_s"], law["f1"]) == pytest.approx((0.03, 2e-4, 0.68))
    assert law["average_rate_per_s"] == pytest.approx(0.68 * 0.03 + 0.32 * 2e-4)
    assert law["temperature_k"] == pytest.approx(365.0)
    halo_m = (4 * law["diffusivity_m2_s"] / law["average_rate_per_s"]) ** 0.5
    assert law["halo_radius_um"] == pytest.approx(1e6 * halo_m)
    assert control.get("clock.now_s") < control.get("clock.now_s")


def test_another_film_is_fresh(simulate) -> None:
    control = simulate(composition=1.5).connect("control")
    assert control.tell(mount=0) == {"ok": True}
    assert control.get("film.composition") == 0.0
    assert control.get("film.law", power_uw=100)["halo_radius_um"] is None


def test_a_keyed_laser_is_turned_at_the_control_port(simulate) -> None:
    wires = simulate(keyed=True)
    laser, control = wires.connect("laser"), wires.connect("control")
    assert laser.ask("gkses?\r") == "1\r\n"
    laser.ask("p 0.01\r")
    laser.ask("@cob1\r")
    assert laser.ask("l?\r") == "0\r\n"
    assert control.tell(key="off") == {"ok": True}
    assert control.tell(key="on") == {"ok": True}
    assert laser.ask("l?\r") == "1\r\n"


def test_an_interlock_opens_in_the_middle_of_a_series(simulate, frame, pixels_of) -> None:
    wires = simulate(speed=20.0, composition=3.0)
    laser, spectrometer, control = (wires.connect(role) for role in ("laser", "spectrometer", "control"))
    laser.ask("p 0.03\r")
    laser.ask("l1\r")
    control.tell(fault="interlock-open", after=3)
    bright = []
    for _ in range(5):
        spectrometer.send(frame(0x101000))
        bright.append(pixels_of(spectrometer.exactly(4200)).max() > 5000)
    assert bright[1:] == [True, True, False, False]
    assert laser.ask("f?\r") == "3\r\n"
