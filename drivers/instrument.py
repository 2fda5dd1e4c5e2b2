"""What PyMeasure leaves open, in one base class for all our instruments.

A device name for every error; one re-entrant lock per transaction; a refused command and an unparsable answer raise;
a lost peer is a :class:`ConnectionLostError`; after a time-out or a bad answer the line is brought back into step
before the next command, so that a late answer is never taken for the next one's; ``close()`` closes the port.
Protocols are in the modules of the families, waiting and bytes in :mod:`halidescope.drivers.line`.
"""

import functools
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, ClassVar, Self

import pyvisa
from pymeasure.adapters import Adapter
from pymeasure.instruments import Instrument
from pyvisa.constants import StatusCode

from halidescope.drivers.errors import BadReplyError, ConnectionLostError, InstrumentError, WrongInstrumentError
from halidescope.drivers.line import EndlessLineError, LineAdapter, SilenceError
from halidescope.drivers.roles import Identity

LONGEST_TALK = 10   # time-outs; a peer that sends lines for longer is not answering
RETRY_S = 0.1       # between attempts to reconnect


def shown(answer: str | bytes, longest: int = 60) -> str:
    """An answer as an error message quotes it: short, with invisible characters visible."""
    text = repr(answer)
    return text if len(text) <= longest else f"{text[:longest]}… ({len(answer)} characters)"


def number(text: str) -> float:
    """A finite number; raises ValueError for anything else, ``nan`` and ``inf`` included."""
    value = float(text)
    if "_" in text:    # Python reads 1_0 as 10, no instrument writes it
        raise ValueError(f"{text!r} is not a number")
    if not abs(value) < float("inf"):
        raise ValueError(f"{text!r} is not a finite number")
    return value


def whole(text: str) -> int:
    """A whole number."""
    if not (text.isascii() and text.removeprefix("-").isdecimal()):
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def switch(text: str) -> bool:
    """0 or 1."""
    if text not in ("0", "1"):
        raise ValueError(f"{text!r} is neither 0 nor 1")
    return text == "1"


def _nobody_watches() -> None:
    """The sign of life of an instrument that no engine uses."""


class GarbledError(ValueError):
    """A line with characters that no instrument writes."""


class Transaction:
    """One request and its answer: holds the lock, puts the line in step first, names what went wrong."""

    __slots__ = ("_instrument", "_request")

    def __init__(self, instrument: "WireInstrument", request: str | bytes) -> None:
        self._instrument = instrument
        self._request = request

    def __enter__(self) -> None:
        self._instrument.lock.acquire()
        try:
            self._instrument.sign_of_life()
            self._instrument.bring_in_step()
        except BaseException:
            self._instrument.lock.release()
            raise

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if error is not None and not isinstance(error, InstrumentError):
                self._instrument.explain(error, self._request)
        finally:
            self._instrument.lock.release()


def _locked(accessor: Callable[..., Any] | None) -> Callable[..., Any] | None:
    if accessor is None:
        return None

    @functools.wraps(accessor)
    def under_lock(self: "WireInstrument", *args: Any) -> Any:
        with self.lock:
            return accessor(self, *args)

    return under_lock


class WireInstrument(Instrument):
    """Base of all instruments.

    Construction opens the port and says nothing on the wire; :meth:`start` identifies the instrument and brings it into
    its safe state. :func:`halidescope.drivers.catalogue.connect` does both.

    Parameters
    ----------
    adapter : str or Adapter
        VISA resource string, or any PyMeasure adapter.
    name : str
        PyMeasure's name of the instrument.
    timeout_s : float
        Longest wait for one answer in seconds.
    sign_of_life : callable, optional
        Called before every request, in the thread that makes it: whoever watches over that thread knows that it goes
        on, however many requests a move or a warm-up takes. What it raises ends the operation before the request.
    **kwargs
        Handed on to the adapter when ``adapter`` is a string.

    Raises
    ------
    ConnectionLostError
        Nobody listens at the resource.
    """

    role: ClassVar[str] = "instrument"
    model: ClassVar[str] = "unknown"
    terminations: ClassVar[tuple[str, str]] = ("\n", "\n")   # of what is written, of what is read
    serial_settings: ClassVar[dict[str, Any]] = {"baud_rate": 115200}
    last_line: ClassVar[str] = ""    # of a whole answer, where answers are several lines that one of their own ends

    adapter: Adapter

    # PyMeasure looks every attribute up among dynamic properties; we have none, and that was half of a query's time
    __getattribute__ = object.__getattribute__

    def __init__(
        self, adapter: str | Adapter, name: str = "Instrument", *, timeout_s: float = 3.0,
        sign_of_life: Callable[[], object] = _nobody_watches, **kwargs: Any,
    ) -> None:
        self.lock = threading.RLock()
        self.sign_of_life = sign_of_life
        self.timeout_s = timeout_s
        self._in_step = True
        self._landmarks_due = 0     # answers to the landmark's question that may still come
        self._fencing = False
        self._identity: Identity | None = None
        self._adapter_settings = kwargs
        resource = adapter if isinstance(adapter, str) else getattr(adapter, "resource_name", None)
        self._resource = resource if isinstance(resource, str) else type(adapter).__name__
        super().__init__(self._opened() if isinstance(adapter, str) else adapter, name, includeSCPI=False)

    # --- who it is -------------------------------------------------------------------------------------------------

    @property
    def device(self) -> str:
        """Get role, model and resource, as error messages name them."""
        return f"{self.role} {self.model} ({self._resource})"

    @property
    def identity(self) -> Identity:
        """Get manufacturer, model, serial number and firmware, read once per connection."""
        if self._identity is None:
            with self.lock:
                self._identity = self.identify()
        return self._identity

    def identify(self) -> Identity:
        """Ask the instrument who it is; raises WrongInstrumentError if it is another model."""
        raise NotImplementedError

    def start(self) -> None:
        """Identify the instrument and bring it into its safe state. Subclasses extend this."""
        self._identity = self.identify()

    # --- the port --------------------------------------------------------------------------------------------------

    def _opened(self) -> LineAdapter:
        written, read = self.terminations
        settings = {"asrl": self.serial_settings, **self._adapter_settings}
        try:
            return LineAdapter(
                self._resource,
                timeout_s=self.timeout_s,
                write_termination=written,
                read_termination=read,
                **settings,
            )
        except (OSError, pyvisa.errors.Error) as error:
            raise self._not_reached(error) from error
        except Exception as error:
            # PyVISA-py reports an unreachable host as a bare Exception; everything else is a wrong argument
            if type(error) is not Exception:
                raise
            raise self._not_reached(error) from error

    def _not_reached(self, error: Exception) -> ConnectionLostError:
        reason = getattr(error, "strerror", None) or error
        return ConnectionLostError(
            self.device,
            f"nobody answers there ({reason}); check that it is switched on, that the resource string is right "
            f"and that no other program holds the port",
        )

    def close(self) -> None:
        """Close the port. Safe to call twice."""
        with self.lock:
            self.adapter.close()
            self.isShutdown = True

    def shutdown(self) -> None:
        """Leave the instrument safe and close the port; ``with instrument:`` ends here."""
        self.close()

    def __enter__(self) -> Self:
        return self

    def reconnect(self, within_s: float = 2.0) -> None:
        """Open the port again, start again, and make sure that it is the same instrument.

        While nobody answers it is tried again, until ``within_s`` seconds are over.

        Raises
        ------
        WrongInstrumentError
            Another serial number answers.
        ConnectionLostError
            Nobody answers.
        """
        end = time.monotonic() + within_s
        with self.lock:
            while True:
                try:
                    self.reopen()
                    break
                except ConnectionLostError:
                    if time.monotonic() + RETRY_S > end:
                        raise
                    time.sleep(RETRY_S)
            self.start()
            self.restore()

    @property
    def can_reopen(self) -> bool:
        """Get whether this object opened its port itself, and so can open it again."""
        return isinstance(self.adapter, LineAdapter)

    def reopen(self) -> None:
        """Open the port again and check the serial number; nothing else is asked or set."""
        with self.lock:
            before = self._identity
            self.adapter.close()
            self.adapter = self._opened()
            self.isShutdown = False
            self._in_step, self._landmarks_due = True, 0
            found = self.identify()
            if before is not None and (found.model, found.serial) != (before.model, before.serial):
                self.close()
                raise WrongInstrumentError(
                    self.device,
                    f"{found.model}, serial number {found.serial or 'not told'}, answers where {before.model}, "
                    f"{before.serial or 'not told'}, was before; "
                    f"connect the same instrument, or start anew",
                )

    def restore(self) -> None:
        """Set again, while dark and at rest, what a person had set before the line was lost."""

    # --- transactions ----------------------------------------------------------------------------------------------

    def transaction(self, request: str | bytes) -> Transaction:
        """Context of one request and its answer; ``request`` is quoted when something goes wrong."""
        return Transaction(self, request)

    def ask(self, command: str, query_delay: float | None = None) -> str:
        """Send a line and return the line that answers it, without its terminator."""
        with self.transaction(command):
            self.write(command)
            self.wait_for(query_delay)
            return self.read()

    def read(self, **kwargs: Any) -> str:
        """Read one line without its terminator; anything but printable ASCII is not believed to be an answer."""
        line: str = self.adapter.read(**kwargs)
        if not line.isascii() or not all(character.isprintable() or character.isspace() for character in line):
            raise GarbledError(line)
        return line

    def values(
        self,
        command: str,
        separator: str = ",",
        cast: Callable[[str], Any] = number,
        preprocess_reply: Callable[[str], str] | None = None,
        maxsplit: int = 0,
        **kwargs: Any,
    ) -> list[Any]:
        """Send a query and convert its answer; an answer that ``cast`` does not accept raises BadReplyError.

        Unlike in PyMeasure the answer is not split unless ``maxsplit`` says so, and is never handed on unconverted.
        """
        with self.lock:
            answer = self.ask(command, **kwargs).strip()
            text = preprocess_reply(answer) if preprocess_reply else answer
            try:
                return [cast(part.strip()) for part in text.split(separator, maxsplit=maxsplit)]
            except (ValueError, KeyError) as error:
                wanted = getattr(cast, "__doc__", None) or cast.__name__
                raise self.bad_reply(command, answer, wanted.splitlines()[0].rstrip(".").lower()) from error

    @staticmethod
    def control(get_command: str | None, set_command: str | None, docs: str, **kwargs: Any) -> Any:
        """PyMeasure's ``control`` as one locked transaction that never splits or hands on a raw answer."""
        kwargs = {"cast": number, "maxsplit": 0, **kwargs}
        made = Instrument.control(get_command=get_command, set_command=set_command, docs=docs, **kwargs)
        return property(_locked(made.fget), _locked(made.fset), doc=docs)

    @staticmethod
    def measurement(get_command: str, docs: str, **kwargs: Any) -> Any:
        """PyMeasure's ``measurement`` as one locked transaction that never splits or hands on a raw answer."""
        kwargs = {"cast": number, "maxsplit": 0, **kwargs}
        made = Instrument.measurement(get_command=get_command, docs=docs, **kwargs)
        return property(_locked(made.fget), doc=docs)

    # --- what can go wrong -----------------------------------------------------------------------------------------

    def explain(self, error: BaseException, request: str | bytes) -> None:
        """Turn an error of the line into one that names the device; what is no such error is left as it is."""
        self._in_step = False
        if request == self.landmark[0] and not self._fencing:
            self._landmarks_due += 1    # its late answer looks like that to the next fence's question
        if isinstance(error, SilenceError) and error.received:
            raise self.bad_reply(request, error.received, "a complete answer; the rest never came") from error
        if isinstance(error, TimeoutError) or _is_visa_timeout(error):
            waited_s = getattr(error, "waited_s", self.timeout_s)
            raise ConnectionLostError(
                self.device,
                f"no answer to {shown(request)} within {waited_s:g} s; "
                f"check cable and power, and that the model is {self.model}",
            ) from error
        if isinstance(error, OSError | pyvisa.errors.Error):
            reason = getattr(error, "strerror", None) or str(error)
            raise ConnectionLostError(
                self.device, f"the line was lost at {shown(request)} ({reason}); check cable and power, then reconnect"
            ) from error
        if isinstance(error, GarbledError):
            raise self.bad_reply(request, str(error), "printable text") from error
        if isinstance(error, EndlessLineError):
            raise self.bad_reply(request, str(error), "one line") from error

    def bad_reply(self, request: str | bytes, answer: str | bytes, wanted: str) -> BadReplyError:
        """The error for an answer that the protocol does not allow; the line is put in step before the next request."""
        self._in_step = False
        return BadReplyError(
            self.device,
            f"answered {shown(answer)} to {shown(request)}, expected {wanted}; "
            f"if this repeats, check the line and what else talks on it",
        )

    def bring_in_step(self) -> None:
        """After a time-out or a bad answer: make sure that the next answer belongs to the next request."""
        if self.isShutdown:
            raise ConnectionLostError(self.device, "its port was closed; connect again")
        if self._in_step:
            return
        self._in_step = self._fencing = True    # the fence is itself made of transactions
        try:
            self.fence()
        except BaseException:
            self._in_step = False
            raise
        finally:
            self._fencing = False

    @property
    def landmark(self) -> tuple[str, str]:
        """Get a question and its known answer, with which no other question is answered.

        The answer is empty while it is not known, both are where answers are numbered and none can be mistaken.
        """
        return "", ""

    def fence(self) -> None:
        """Ask for the landmark and skip everything that arrives before it.

        Instruments answer in order: whatever comes before the landmark was late or garbage. Landmarks that earlier,
        unsuccessful fences asked for are still due and are waited for too; if one never comes, silence ends the
        wait.
        """
        question, answer = self.landmark
        with self.transaction(question):
            if not answer:
                self.adapter.flush_read_buffer()
                return
            self._landmarks_due += 1
            passed = False
            self.write(question)
            end = time.monotonic() + LONGEST_TALK * self.timeout_s
            while time.monotonic() < end:
                try:
                    found = self.adapter.read().strip() == answer
                    if found and self.last_line:
                        self._read_to_last_line(end)
                except TimeoutError:
                    if not passed:
                        raise
                    self._landmarks_due = 0
                    return
                passed = passed or found
                self._landmarks_due -= found
                if not self._landmarks_due:
                    return
        raise self.bad_reply(question, "other lines without end", shown(answer))

    def _read_to_last_line(self, end: float) -> None:
        while self.adapter.read().strip() != self.last_line:
            if time.monotonic() > end:
                raise self.bad_reply("resynchronising", "other lines without end", shown(self.last_line))


def _is_visa_timeout(error: BaseException) -> bool:
    return isinstance(error, pyvisa.errors.VisaIOError) and error.error_code == StatusCode.error_timeout
