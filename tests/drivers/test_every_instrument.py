"""What every driver must do whatever its role: line faults over the wire, and PyMeasure's own checks on our classes."""

import importlib
import inspect
import pkgutil
import threading
import time
from unittest.mock import MagicMock

import pytest
from pymeasure.instruments import Instrument

from halidescope import drivers
from halidescope.drivers.catalogue import MODELS, UnknownModelError, connect, find
from halidescope.drivers.errors import BadReplyError, ConnectionLostError, InstrumentError
from halidescope.drivers.instrument import WireInstrument
from halidescope.drivers.ocean_messages import Message
from halidescope.drivers.roles import Identity, Laser, Spectrometer, Stage
from halidescope.simulators.microscope import SimulatedMicroscope

from .conftest import HASTY_S, LATE_S, hurried

ROLES = ("laser", "stage", "spectrometer")
ROOMS = [room.name for room in pkgutil.iter_modules(drivers.__path__)]
MODULES = [importlib.import_module(f"{drivers.__name__}.{room}") for room in ROOMS]
CLASSES = sorted(    # every instrument class of the package, base classes too, found as PyMeasure finds its own
    {
        found for module in MODULES for _, found in inspect.getmembers(module, inspect.isclass)
        if issubclass(found, WireInstrument)
    },
    key=lambda found: found.__name__,
)
PROPERTIES = [
    pytest.param(member, id=f"{found.__name__}.{name}")
    for found in CLASSES
    for name, member in inspect.getmembers(found, lambda member: isinstance(member, property))
]


def ask(instrument):
    """A query over the wire whose answer is known to be right when it comes."""
    return instrument.identify()


@pytest.mark.parametrize("role", ROLES)
class TestOnABadLine:
    def test_slow_answers_are_waited_for(self, role, wire):
        instrument = wire.connect(role)
        wire.fault("slow-reply")
        assert ask(instrument) == instrument.identity

    def test_garbage_raises_and_the_next_answer_is_right(self, role, wire):
        instrument = wire.connect(role)
        wire.fault("garbage-reply")
        with hurried(instrument, HASTY_S), pytest.raises(BadReplyError, match=f"^{role} .*answered"):
            read_something(instrument)
        wire.mend()
        assert ask(instrument) == instrument.identity

    def test_late_answers_raise_and_never_answer_the_next_question(self, role, wire):
        instrument = wire.connect(role)
        right = read_something(instrument)
        wire.fault("late-reply", delay_s=LATE_S)
        with hurried(instrument), pytest.raises(ConnectionLostError, match="no answer"):
            ask(instrument)
        wire.mend()
        for _ in range(20):
            try:
                assert read_something(instrument) == right
            except InstrumentError:
                continue    # still waiting for the late answer, each time no longer than the time-out
            break
        else:
            pytest.fail("never came back into step")
        assert ask(instrument) == instrument.identity

    def test_dropped_connection_is_lost_and_comes_back(self, role, wire):
        instrument = wire.connect(role, timeout_s=30.0)
        wire.fault("connection-drop")
        with pytest.raises(ConnectionLostError, match="lost"):
            ask(instrument)
        wire.mend()
        instrument.reconnect()
        assert ask(instrument) == instrument.identity

    def test_a_peer_that_is_down_is_tried_until_it_is_back_or_the_time_is_over(self, role):
        """As when a controller is switched off and on: the new one knows nothing of what had been set."""
        chosen = {other: None for other in ROLES if other != role}
        with SimulatedMicroscope(speed=60.0, control_port=None, seed=1, **chosen) as before:
            [device] = before.devices
            instrument = connect(device.model, device.resource, role=role)
            told, wanted = change_something(instrument)
        with pytest.raises(ConnectionLostError, match=f"^{role} .*(lost|no answer)"):
            ask(instrument)
        start = time.monotonic()
        with pytest.raises(ConnectionLostError, match=f"^{role} .*nobody answers there"):
            instrument.reconnect(within_s=0.3)
        assert time.monotonic() - start > 0.15

        waiting = threading.Thread(target=instrument.reconnect, kwargs={"within_s": 60.0})
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        with SimulatedMicroscope(speed=60.0, control_port=None, seed=1, ports={role: device.port}, **chosen):
            waiting.join(60.0)
            assert not waiting.is_alive()
            assert ask(instrument) == instrument.identity
            assert told() == pytest.approx(wanted)
            instrument.close()

    def test_another_model_on_the_line_is_found_out(self, role, wire):
        for other in ROLES:
            if other != role:
                with pytest.raises(InstrumentError):
                    connect(wire.devices[role].model, wire.devices[other].resource, timeout_s=0.3)


def read_something(instrument):
    """One unchanging value that is read anew from the instrument."""
    return {
        "laser": lambda: instrument.power_max_mw,
        "stage": lambda: instrument.query("TMX?"),
        "spectrometer": lambda: instrument.identify().serial,
    }[instrument.role]()


def change_something(instrument):
    """Set one value; returns what tells it, asked from the instrument as far as it can be, and the value."""
    if instrument.role == "laser":
        instrument.set_power(25.0)
        return lambda: instrument.power_setpoint_mw, 25.0
    if instrument.role == "stage":
        instrument.set_velocity(321.0, 321.0)
        return instrument.read_velocity_um_s, (321.0, 321.0)
    instrument.set_exposure(0.05)
    return lambda: int.from_bytes(instrument.query(Message.EXPOSURE).data, "little") / 1e6, 0.05


class TestPyMeasureConventions:
    """PyMeasure's tests/instruments/test_all_instruments.py on our classes; its warnings are errors here anyway."""

    def test_every_model_is_among_them(self):
        assert {entry.driver for entry in MODELS.values()} < set(CLASSES)

    @pytest.mark.parametrize("found", CLASSES)
    def test_adapter_argument_and_scpi_left_out(self, found):
        instrument = found(adapter=MagicMock())
        assert isinstance(instrument, Instrument)
        assert instrument.SCPI is False

    @pytest.mark.parametrize("found", CLASSES)
    def test_name_argument(self, found):
        assert found(adapter=MagicMock(), name="Name_Test").name == "Name_Test"
        assert found(adapter=MagicMock()).name

    @pytest.mark.parametrize("found", CLASSES)
    def test_kwargs_reach_the_adapter(self, found, peer):
        with pytest.raises(ValueError, match="'kwarg_test' is not a valid attribute for type TCPIPSocket"):
            found(peer(lambda data: b"").resource, kwarg_test=True)

    @pytest.mark.parametrize("member", PROPERTIES)
    def test_property_docstrings(self, member):
        assert member.__doc__.split(maxsplit=1)[0] in ("Control", "Measure", "Set", "Get")


class TestCatalogue:
    def test_every_model_has_role_class_and_words(self):
        for name, entry in MODELS.items():
            assert entry.role in ROLES
            assert entry.driver.role == entry.role
            assert entry.driver.model == name
            assert entry.description

    def test_unknown_model(self):
        with pytest.raises(UnknownModelError, match="model 'cobolt' is not supported; allowed: cobolt-06-mld, "):
            connect("cobolt", "TCPIP::127.0.0.1::1::SOCKET")

    def test_model_of_another_role(self):
        with pytest.raises(UnknownModelError, match="'pi-e727' is a stage, not a laser; allowed: cobolt-06-mld"):
            find("pi-e727", role="laser")

    def test_connect_gives_an_identified_instrument_of_the_role(self, wire):
        for role, protocol in zip(ROLES, (Laser, Stage, Spectrometer), strict=True):
            instrument = wire.connect(role)
            assert isinstance(instrument, WireInstrument)
            assert isinstance(instrument, protocol)
            assert isinstance(instrument.identity, Identity)

    def test_a_wrong_instrument_leaves_no_port_open(self, wire):
        with pytest.raises(InstrumentError):
            connect("cobolt-06-mld", wire.devices["stage"].resource, timeout_s=0.2)
        assert wire.connect("stage").servo_on    # it takes one client at a time
