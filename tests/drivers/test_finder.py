"""Guessing what is plugged in: from USB numbers, from descriptions, from open TCP ports."""

import socket

import pytest
from serial.tools.list_ports_common import ListPortInfo

from halidescope.drivers import finder
from halidescope.drivers.catalogue import MODELS


@pytest.mark.parametrize(
    ("vendor", "product", "description", "model", "reason"),
    [
        (0x25DC, 0x0006, "", "cobolt-06-mld", "USB 25DC:0006"),
        (0x2457, 0x4004, "", "ocean-qepro", "USB 2457:4004"),
        (0x2457, 0x4000, "", "ocean-sts", "USB 2457:4000"),
        (0x2457, 0x2003, "", "ocean-hdx", "USB 2457:2003"),
        (0x2457, 0x1234, "", None, "another model"),
        (0x0403, 0x6001, "Zaber USB cable", "zaber-ascii", "'zaber'"),
        (0x0403, 0x6001, "FT232R", None, "adapter cable"),
        (None, None, "ttyS0", None, "nothing is known"),
    ],
)
def test_guess(vendor, product, description, model, reason):
    found, why = finder.guess(vendor, product, None, description)
    assert found == model
    assert reason in why


def test_every_guess_is_a_supported_model():
    models = {entry[2] for entry in finder.USB_DEVICES} | {entry[1] for entry in finder.DESCRIPTIONS}
    models |= {entry[1] for entry in finder.NETWORK_PORTS}
    assert models - {None} <= set(MODELS)


@pytest.mark.parametrize(
    ("device", "resource"),
    [("COM5", "ASRL5::INSTR"), ("COM12", "ASRL12::INSTR"), ("/dev/ttyACM0", "ASRL/dev/ttyACM0::INSTR")],
)
def test_serial_resource(device, resource):
    assert finder.serial_resource(device) == resource


def test_serial_ports_are_listed_with_guesses_first(monkeypatch):
    plain, laser = ListPortInfo("/dev/ttyS0"), ListPortInfo("/dev/ttyACM1")
    laser.vid, laser.pid, laser.description = 0x25DC, 6, "Cobolt"
    monkeypatch.setattr(finder.list_ports, "comports", lambda: [plain, laser])
    first, second = finder.serial_candidates()
    assert (first.kind, first.resource, first.model) == ("serial", "ASRL/dev/ttyACM1::INSTR", "cobolt-06-mld")
    assert (second.resource, second.model, second.description) == ("ASRL/dev/ttyS0::INSTR", None, "/dev/ttyS0")


def test_the_ports_of_this_computer_can_be_listed():
    for candidate in finder.serial_candidates():
        assert candidate.resource.startswith("ASRL")


def test_a_host_that_listens_is_found_and_one_that_does_not_is_not(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(finder, "NETWORK_PORTS", ((port, "pi-e727"), (1, "ocean-hdx")))
        (found,) = finder.network_candidates(["127.0.0.1"])
    assert found.resource == f"TCPIP::127.0.0.1::{port}::SOCKET"
    assert (found.kind, found.model) == ("network", "pi-e727")


def test_no_host_is_asked_unless_given():
    assert finder.network_candidates([]) == []
