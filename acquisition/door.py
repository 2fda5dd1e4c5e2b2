"""The one way in for commands, whoever gives them and in whichever thread.

A start waits for the engine's answer, and so does an order: something that the engine's thread does while nothing is
measured. Pausing, resuming, aborting and skipping are wishes that the engine looks at between two spectra; every wait
of a measurement ends at once when a wish arrives. A question goes the other way, and its answer comes in here.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.states import Question

T = TypeVar("T")

ANSWER_S = 50.0    # real seconds for the engine to take up a start, connecting included


@dataclass(frozen=True)
class StartCommand:
    """A measurement to be started; ``accepted`` gets None, or the reason why not."""

    recipe: dict[str, object]
    out: str
    resume: bool = False
    accepted: Future[None] = field(default_factory=Future)


@dataclass(frozen=True)
class Order:
    """Something for the engine's thread to do while it is idle; ``done`` gets what it returns, or why it failed."""

    call: Callable[[], Any]
    done: Future[Any] = field(default_factory=Future)


class Door:
    """Commands on their way to the engine's thread."""

    def __init__(self) -> None:
        self._starts: queue.SimpleQueue[StartCommand] = queue.SimpleQueue()
        self._orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._occupied = False
        self._questions = 0
        self._answer: str | None = None
        self.question: Question | None = None
        self.abort_reason: str | None = None
        self.skip_wanted = False
        self.pause_wanted = False
        self.quitting = False

    def sleep(self, real_s: float) -> None:
        """Wait, but no longer than until the next wish; a clock's ``sleep``."""
        self._wake.wait(real_s)

    def look(self) -> None:
        """Forget that somebody knocked; called before the wishes are read, so that none is overlooked."""
        self._wake.clear()

    def start(self, recipe: dict[str, object], out: str, *, resume: bool = False) -> None:
        """Ask for a measurement, or for the rest of one that was cut off, and wait until it is accepted; one at a time.

        Raises
        ------
        ProblemError, InstrumentError
            Why it must not or cannot start.
        """
        command = StartCommand(recipe, out, resume)
        with self._lock:
            self._require_free("wait for its end or abort it")
            self._occupied = True
            self._starts.put(command)
        self._await(command.accepted)

    def ask(self, call: Callable[[], T]) -> T:
        """Have the engine's thread do something that only an idle engine may do, and wait for what it returns.

        Raises
        ------
        ProblemError, InstrumentError
            A measurement runs; or what ``call`` raises.
        """
        order = Order(call)
        with self._lock:
            self._require_free("manual control has to wait for its end; abort it, or put a recipe into the queue")
            self._orders.put(order)
        answer: T = self._await(order.done)
        return answer

    def _require_free(self, otherwise: str) -> None:
        if self.quitting:
            raise ProblemError("engine: is about to end; start a new one")
        if self._occupied:
            raise ProblemError(f"engine: a measurement runs already; {otherwise}")

    def _await(self, answer: Future[Any]) -> Any:
        self._wake.set()
        try:
            return answer.result(ANSWER_S)
        except TimeoutError as error:
            answer.cancel()
            raise ProblemError(f"engine: took up no command for {ANSWER_S:g} s; end it and start a new one") from error

    def knock(self) -> None:
        """Have the engine look around: there is something to do that it finds by itself, e.g. in the queue."""
        self._wake.set()

    def occupy(self) -> bool:
        """The engine begins a measurement by itself; False if somebody was faster."""
        with self._lock:
            if self._occupied or self.quitting:
                return False
            self._occupied = True
            return True

    @property
    def start_waits(self) -> bool:
        """True if a start was accepted at the door and nobody has taken it up."""
        return not self._starts.empty()

    def next_order(self) -> Order | None:
        """An order that nobody has taken up yet."""
        try:
            order = self._orders.get_nowait()
        except queue.Empty:
            return None
        return order if order.done.set_running_or_notify_cancel() else None

    def next_start(self) -> StartCommand | None:
        """A start that nobody has taken up yet."""
        try:
            command = self._starts.get_nowait()
        except queue.Empty:
            return None
        if command.accepted.set_running_or_notify_cancel():
            return command
        self.free()
        return None

    def free(self) -> None:
        """The measurement that was started is over, or was refused: the next may come."""
        with self._lock:
            self._occupied = False

    def shut(self) -> None:
        """The engine has ended: nobody takes up what still waits."""
        while (command := self.next_start()) is not None:
            command.accepted.set_exception(ProblemError("engine: has ended; start a new one"))
        while (order := self.next_order()) is not None:
            order.done.set_exception(ProblemError("engine: has ended; start a new one"))

    def pause(self) -> None:
        """Beam off after the present exposure, then wait."""
        self.pause_wanted = True
        self._wake.set()

    def resume(self) -> None:
        """Go on."""
        self.pause_wanted = False
        self._wake.set()

    def abort(self, reason: str) -> None:
        """End the measurement; the first reason stays."""
        self.abort_reason = self.abort_reason or reason
        self._wake.set()

    def skip(self) -> None:
        """End the measurement, its file finished, and let the queue go on."""
        self.skip_wanted = True
        self.abort("skipped on request")

    def put_question(self, text: str, choices: list[str]) -> Question:
        """Something that a person has to decide; the engine's thread puts it, dark, and waits for :attr:`answered`."""
        with self._lock:
            self._questions += 1
            self._answer = None
            self.question = Question(id=self._questions, text=text, choices=choices)
            return self.question

    def answer(self, number: int, choice: str) -> None:
        """Answer the question that waits.

        Raises
        ------
        ProblemError
            It waits no more, or the answer is none of its choices.
        """
        with self._lock:
            question = self.question
            if question is None or question.id != number:
                raise ProblemError("engine: that question waits no more; ask for the status anew")
            if choice not in question.choices:
                raise ProblemError(f"engine: answer '{choice}' given, allowed {', '.join(question.choices)}")
            self._answer, self.question = choice, None
        self.resume()

    @property
    def answered(self) -> str | None:
        """The answer to the last question, None while it waits."""
        return self._answer

    def drop_question(self) -> None:
        """Nobody waits for an answer any more."""
        with self._lock:
            self.question = None

    def quit(self) -> None:
        """End the measurement and the engine."""
        with self._lock:
            self.quitting = True
        self.abort("the engine was asked to end")

    def clear(self) -> None:
        """A new measurement begins: wishes of the last one are void."""
        self.pause_wanted = self.skip_wanted = False
        self.drop_question()
        if not self.quitting:
            self.abort_reason = None
