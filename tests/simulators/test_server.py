"""Bytes on real sockets and pseudo-terminals."""

import os
import select
import socket
import threading
import time

import numpy as np
import pytest
import serial


def emission_on(wires) -> None:
    laser = wires.connect("laser")
    assert laser.ask("p 0.03\r") == "OK\r\n"
    assert laser.ask("l1\r") == "OK\r\n"
    control = wires.connect("control")
    deadline = time.monotonic() + 60.0
    while not control.get("laser.emission"):
        assert time.monotonic() < deadline


def test_three_devices_one_world(simulate, frame, pixels_of) -> None:
    """Emission depends on the laser's power, the stage's place and the exposure."""
    wires = simulate(speed=50.0)
    stage, spectrometer, control = (wires.connect(role) for role in ("stage", "spectrometer", "control"))
    spectrometer.send(frame(0x110010, (200_000).to_bytes(4, "little"), ack=True))
    spectrometer.exactly(64)

    def take() -> np.ndarray:
        spectrometer.send(frame(0x101000))
        return pixels_of(spectrometer.exactly(4200)).astype(float) - 1000.0

    assert take().max() < 40.0
    emission_on(wires)
    assert take().max() > 20_000.0
    stage.send(b"SVO 1 1 2 1\nMOV 1 150 2 60\n")
    assert stage.ask("ERR?\n") == "0\n"
    deadline = time.monotonic() + 60.0
    while stage.ask("ONT? 1\n") != "1=1\n":
        assert time.monotonic() < deadline
    assert control.get("stage.position_um") == pytest.approx([150.0, 60.0], abs=0.02)
    before = control.get("film.dose_j_cm2", x=150.0, y=60.0)
    take()
    assert control.get("film.dose_j_cm2", x=150.0, y=60.0) > before + 0.2 * 7600.0
    assert control.get("film.dose_j_cm2", x=100.0, y=100.0) < 1.0


def test_a_spectrum_takes_its_scaled_exposure(simulate, frame) -> None:
    for speed, exposure_s in ((1.0, 0.05), (60.0, 3.0)):
        wires = simulate(speed=speed)
        spectrometer = wires.connect("spectrometer")
        spectrometer.send(frame(0x110010, int(exposure_s * 1e6).to_bytes(4, "little"), ack=True))
        spectrometer.exactly(64)
        start = time.perf_counter()
        spectrometer.send(frame(0x101000))
        spectrometer.exactly(4200)
        elapsed = time.perf_counter() - start
        assert exposure_s / speed <= elapsed
        if speed > 1.0:
            assert elapsed < exposure_s      # which this computer needs 50 ms of


def test_an_exposure_does_not_hold_up_the_others(simulate, frame) -> None:
    wires = simulate()
    laser, spectrometer = wires.connect("laser"), wires.connect("spectrometer")
    spectrometer.send(frame(0x110010, (10_000_000).to_bytes(4, "little")) + frame(0x101000))
    for _ in range(100):
        assert laser.ask("?\r") == "OK\r\n"
    assert not reply_within(spectrometer, 0.0)      # it still exposes


@pytest.mark.parametrize("speed", [20.0, 60.0])
def test_speed_changes_the_waiting_and_not_the_physics(simulate, speed: float) -> None:
    """Share and dose agree with the closed form at the moment when they were read, whatever the speed."""
    wires = simulate(speed=speed)
    control = wires.connect("control")
    emission_on(wires)
    law = control.get("film.law", power_uw=120.0)
    deadline = time.monotonic() + 60.0
    while control.get("film.state", x=0.0, y=0.0)["share_converted"] < 0.3:
        assert time.monotonic() < deadline
    state = control.get("film.state", x=0.0, y=0.0)
    lit_s = state["dose_j_cm2"] / (2 * 120e-6 / (np.pi * 1e-8))
    expected = 1.0 - sum(law[f] * np.exp(-law[k] * lit_s) for f, k in (("f1", "k1_per_s"), ("f2", "k2_per_s")))
    assert state["share_converted"] == pytest.approx(expected, rel=1e-3)
    assert state["temperature_k"] == pytest.approx(law["temperature_k"])


def test_the_stage_serves_one_client_at_a_time(simulate) -> None:
    wires = simulate()
    first = wires.connect("stage")
    assert first.ask("CSV?\n") == "2.0\n"
    second = wires.connect("stage")
    with pytest.raises(ConnectionResetError):
        second.ask("CSV?\n")
    assert first.ask("CSV?\n") == "2.0\n"
    for _ in range(50):     # a client that hung up does not keep the next one out
        first.close()
        first = wires.connect("stage")
        assert first.ask("CSV?\n") == "2.0\n"


def test_a_client_that_does_not_read_harms_nobody(simulate) -> None:
    wires = simulate()
    lazy, laser = wires.connect("stage"), wires.connect("laser")
    lazy.socket.setblocking(False)
    for _ in range(2000):
        try:
            lazy.socket.send(b"HLP?\n" * 100)
        except BlockingIOError:
            break
    assert laser.ask("?\r") == "OK\r\n"


def test_state_outlives_connections(simulate) -> None:
    wires = simulate()
    first = wires.connect("laser")
    first.ask("p 0.02\r")
    first.close()
    assert wires.connect("laser").ask("p?\r") == "0.0200\r\n"


def test_closing_frees_every_port_and_ends_the_thread(simulate) -> None:
    before = set(threading.enumerate())
    wires = simulate()
    client = wires.connect("laser")
    assert client.ask("?\r") == "OK\r\n"
    ports = [device.port for device in wires.microscope.devices]
    wires.microscope.close()
    assert client.socket.recv(1) == b""
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    assert all(thread.name != "simulated instruments" for thread in set(threading.enumerate()) - before)


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals exist on POSIX systems only")
def test_instruments_on_pseudo_terminals(simulate, frame, pixels_of) -> None:
    wires = simulate(serial=True, speed=10.0)
    paths = {device.role: device.path for device in wires.microscope.devices}
    assert all(device.resource == f"ASRL{device.path}::INSTR" for device in wires.microscope.devices)
    for _ in range(2):      # a port can be closed and opened again
        with serial.Serial(paths["laser"], 115200, timeout=60.0) as laser:
            laser.write(b"glm?\r")
            assert laser.readline() == b"0405-06-01-0100-100\r\n"
    with serial.Serial(paths["spectrometer"], 115200, timeout=60.0) as spectrometer:
        spectrometer.write(frame(0x101000))
        reply = spectrometer.read(4200)
        assert len(reply) == 4200
        assert pixels_of(reply).mean() == pytest.approx(1000.0, abs=1.0)


def reply_within(wire, seconds: float) -> bool:
    return bool(select.select([wire.socket], [], [], seconds)[0])


def test_line_faults_act_on_whole_replies(simulate) -> None:
    wires = simulate()
    laser, control = wires.connect("laser"), wires.connect("control")
    control.tell(fault="garbage-reply", after=1)
    assert laser.ask("?\r") == "OK\r\n"
    assert "OK" not in laser.ask("?\r")
    assert laser.ask("?\r") == "OK\r\n"

    control.tell(fault="slow-reply")
    start = time.monotonic()
    assert laser.ask("?\r") == "OK\r\n"
    assert time.monotonic() - start >= 0.19
    control.tell(clear="all")

    control.tell(fault="late-reply", device="laser", delay_s=0.8)
    laser.send(b"l?\r")
    assert not reply_within(laser, 0.1)
    laser.send(b"gom?\r?\r")
    assert [laser.line(), laser.line(), laser.line()] == [b"0\r\n", b"0\r\n", b"OK\r\n"]

    control.tell(fault="connection-drop", device="laser")
    with pytest.raises(ConnectionResetError):
        laser.ask("?\r")
    assert wires.connect("laser").ask("?\r") == "OK\r\n"


def test_a_line_fault_can_be_kept_to_one_instrument(simulate) -> None:
    wires = simulate()
    laser, stage, control = (wires.connect(role) for role in ("laser", "stage", "control"))
    control.tell(fault="garbage-reply", device="stage")
    assert laser.ask("?\r") == "OK\r\n"
    assert stage.ask("CSV?\n") != "2.0\n"


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals exist on POSIX systems only")
@pytest.mark.parametrize(("speed", "spectra"), [(1.0, 1), (20.0, 4)])
def test_a_serial_line_takes_the_time_of_its_baud_rate(simulate, frame, speed: float, spectra: int) -> None:
    """4200 bytes at 115200 baud are 0.365 s of the microscope."""
    wires = simulate(serial=True, speed=speed)
    path = next(device.path for device in wires.microscope.devices if device.role == "spectrometer")
    needed_s = spectra * 42_000 / 115_200
    with serial.Serial(path, 115200, timeout=60.0) as spectrometer:
        start = time.perf_counter()
        spectrometer.write(frame(0x110010, (6000).to_bytes(4, "little")) + spectra * frame(0x101000))
        assert len(spectrometer.read(spectra * 4200)) == spectra * 4200
        elapsed = time.perf_counter() - start
    assert needed_s / speed <= elapsed
    if speed > 1.0:
        assert elapsed < needed_s       # which this computer needs 73 ms of
