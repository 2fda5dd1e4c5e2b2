"""How the command line speaks: one sentence on stderr for a problem, JSON lines or a progress bar for what goes on."""

import sys
from types import TracebackType
from typing import Self

import msgspec
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from halidescope.acquisition.states import Status


def complain(sentence: str) -> None:
    """Say what is wrong on stderr."""
    typer.echo(f"halidescope: {sentence}", err=True)


def say_json(value: object) -> None:
    """Print a value as one line of JSON and flush it, so that a program at the other end of a pipe sees it at once."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


class StatusBar:
    """A progress bar fed with :class:`Status`; on a pipe it prints nothing but the changes of state."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
        )
        self._live = console.is_terminal
        self._task: TaskID | None = None
        self._said = ""

    def __enter__(self) -> Self:
        if self._live:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._progress.stop()

    def show(self, status: Status) -> None:
        """Show one moment of a measurement."""
        text = f"{status.measurement}: {status.state}" if status.measurement else str(status.state)
        if not self._live:
            if text != self._said:
                typer.echo(text, err=True)
            self._said = text
            return
        if self._task is None or self._said != status.measurement:
            self._said = status.measurement
            self._task = self._progress.add_task(text, total=status.total or None)
        self._progress.update(self._task, description=text, completed=status.done, total=status.total or None)


class ShareBar:
    """A progress bar for a computation that can say how much of it is done; nothing on a pipe."""

    def __init__(self, what: str) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(),
            console=console, disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(what, total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, done: float, total: float) -> None:
        """Show how much is done."""
        self._progress.update(self._task, completed=done, total=total)
