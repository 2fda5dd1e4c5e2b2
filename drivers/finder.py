"""What is plugged in, and which supported model it may be: serial and USB ports, and network addresses if asked for.

Guesses only: nothing is opened for serial ports, and a network address is only connected to. Whether the guess is right
tells :func:`halidescope.drivers.catalogue.connect`, which identifies the instrument.
"""

import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from serial.tools import list_ports

SERIAL, NETWORK = "serial", "network"

# USB vendor number, product number (None for any), model or None, what it is
USB_DEVICES: tuple[tuple[int, int | None, str | None, str], ...] = (
    (0x25DC, None, "cobolt-06-mld", "Cobolt laser"),
    (0x2457, 0x2003, "ocean-hdx", "Ocean HDX"),
    (0x2457, 0x4004, "ocean-qepro", "Ocean QE Pro"),
    (0x2457, 0x4000, "ocean-sts", "Ocean STS"),
    (0x2457, None, None, "Ocean spectrometer of another model"),
)
# words in a port's description, model
DESCRIPTIONS: tuple[tuple[str, str], ...] = (
    ("cobolt", "cobolt-06-mld"),
    ("obis", "coherent-obis-lx"),
    ("coherent", "coherent-obis-lx"),
    ("ibeam", "toptica-ibeam-smart"),
    ("toptica", "toptica-ibeam-smart"),
    ("e-727", "pi-e727"),
    ("physik instrumente", "pi-e727"),
    ("applied scientific", "asi-ms2000"),
    ("zaber", "zaber-ascii"),
    ("qe pro", "ocean-qepro"),
    ("qepro", "ocean-qepro"),
)
# TCP port of the instrument, model
NETWORK_PORTS: tuple[tuple[int, str], ...] = ((50000, "pi-e727"), (57357, "ocean-hdx"))


@dataclass(frozen=True)
class Candidate:
    """A port that may hold an instrument.

    Attributes
    ----------
    kind : str
        ``serial`` or ``network``.
    resource : str
        VISA resource string for the microscope file.
    description : str
        What the operating system, or the network, says about it.
    model : str or None
        The model it may be, a name of the catalogue; None if nothing is known.
    reason : str
        Why that model was guessed, or why none was.
    """

    kind: str
    resource: str
    description: str
    model: str | None
    reason: str


def guess(vendor: int | None, product: int | None, *descriptions: str | None) -> tuple[str | None, str]:
    """The model that USB numbers and descriptions suggest, and why; numbers count more than words."""
    for known_vendor, known_product, model, words in USB_DEVICES:
        if vendor == known_vendor and known_product in (None, product):
            numbers = f"{vendor:04X}:{product:04X}" if product is not None else f"{vendor:04X}"
            return model, f"USB {numbers} is a {words}"
    told = " ".join(text for text in descriptions if text).lower()
    for words, model in DESCRIPTIONS:
        if words in told:
            return model, f"its description holds {words!r}"
    if vendor is not None:
        return None, f"USB vendor {vendor:04X} is not that of a supported instrument; often an adapter cable"
    return None, "nothing is known about what is connected there"


def serial_resource(device: str) -> str:
    """The VISA resource of a serial port: ``ASRL5::INSTR`` for COM5, ``ASRL/dev/ttyACM0::INSTR`` elsewhere."""
    number = device.upper().removeprefix("COM")
    return f"ASRL{number if number.isdecimal() else device}::INSTR"


def serial_candidates() -> list[Candidate]:
    """Serial and USB-serial ports of this computer, those with a guess first; nothing is opened."""
    found = []
    for port in list_ports.comports():
        model, reason = guess(port.vid, port.pid, port.manufacturer, port.product, port.description)
        description = port.description if port.description and port.description != "n/a" else port.device
        found.append(Candidate(SERIAL, serial_resource(port.device), description, model, reason))
    return sorted(found, key=lambda candidate: (candidate.model is None, candidate.resource))


def network_candidates(hosts: Iterable[str], *, timeout_s: float = 0.5) -> list[Candidate]:
    """Which of the hosts listen on a port of a supported instrument; each is connected to and left at once.

    Parameters
    ----------
    hosts : iterable of str
        Names or addresses. Only what a person gives is looked at; no network is searched.
    timeout_s : float
        Longest wait for one connection.
    """
    asked = [(host, port, model) for host in hosts for port, model in NETWORK_PORTS]
    if not asked:
        return []
    with ThreadPoolExecutor(max_workers=min(32, len(asked))) as pool:
        listening = list(pool.map(lambda target: _listens(target[0], target[1], timeout_s), asked))
    return [
        Candidate(
            NETWORK, f"TCPIP::{host}::{port}::SOCKET", f"{host} listens on TCP port {port}", model,
            f"TCP port {port} is the one of {model}",
        )
        for (host, port, model), found in zip(asked, listening, strict=True)
        if found
    ]  # fmt: skip


def _listens(host: str, port: int, timeout_s: float) -> bool:
    try:
        with socket.create_connection((host, port), timeout=timeout_s):
            return True
    except OSError:
        return False    # nobody there, which is the answer to the question
