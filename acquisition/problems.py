"""Problems that a person can cause and mend: bad files, impossible requests. Each is one plain sentence.

Problems of instruments are in :mod:`halidescope.drivers.errors`.
"""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

LONGEST = 1500      # characters of a sentence that somebody still reads
SHOWN = 120         # of a value that is wrong


class ProblemError(Exception):
    """Something a person can mend; the text says what it is, what is allowed, and what to do.

    ``exit_code`` is the command line's: 2 for a wrong request, 1 for a measurement or data that failed.
    """

    exit_code = 2

    def __init__(self, sentence: str) -> None:
        # libraries' words inside may have lines, or quote a file's content at length
        words = " ".join(sentence.split())
        super().__init__(words if len(words) <= LONGEST else f"{words[:LONGEST]} …")


class BadFileError(ProblemError):
    """A microscope or recipe file that cannot be used."""


class RefusedRunError(ProblemError):
    """A measurement that must not start: it violates a limit, or its file exists."""


class ScanFileError(ProblemError):
    """A measurement's file or journal that cannot be read."""

    exit_code = 1


class RunEndedError(ProblemError):
    """A measurement that ended before it was finished; what was measured is in its file."""

    exit_code = 1


def unexpected(error: Exception) -> str:
    """A sentence about a mistake of ours."""
    return f"unexpected {type(error).__name__}: {error}; please report this"


def sentence_of(error: ValidationError, source: str, kinds: Collection[str] = ()) -> str:
    """Turn a validation error into one sentence: file, table and key, the value given, what is allowed.

    Parameters
    ----------
    kinds : collection of str
        Values of the key ``kind`` that the file may have; pydantic names them as if they were tables of the file.
    """
    problems = error.errors()
    wrong_inside = {problem["loc"][:depth] for problem in problems for depth in range(len(problem["loc"]))}
    return f"{source}: " + "; ".join(
        _words(problem, kinds) for problem in problems
        if not (problem["type"] == "too_short" and problem["loc"] in wrong_inside)     # what is wrong was not counted
    )


def _words(problem: "ErrorDetails", kinds: Collection[str]) -> str:
    """One thing that is wrong."""
    steps = [step for step in problem["loc"] if step not in kinds]
    match problem["type"]:
        case "union_tag_not_found":
            return f"{_place([*steps, 'kind'])} is missing; allowed: {', '.join(kinds)}"
        case "union_tag_invalid":
            given, allowed = problem["ctx"]["tag"], problem["ctx"]["expected_tags"].replace("'", "")
            return f"{_place([*steps, 'kind'])} = {given!r}: allowed: {allowed}"
        case "extra_forbidden":
            return f"unknown key {_place(steps)}"
        case "missing" if isinstance(steps[-1], int):      # a list is too short
            return f"{_place(steps[:-1])} = {_shown(list(problem['input']))}: needs {steps[-1] + 1} values or more"
        case "missing":
            return f"{_place(steps)} is missing"
    words = problem["msg"].removeprefix("Value error, ").replace(" after validation", "")
    words = (words[0].lower() + words[1:]).replace("tuple", "list")
    if isinstance(problem["input"], dict | BaseModel):      # a rule that joins several keys, which it names
        return f"{_place(steps)}: {words}" if steps else words
    return f"{_place(steps)} = {_shown(problem['input'])}: {words}"


def _place(steps: Sequence[int | str]) -> str:
    """Where in a file; entries of lists are counted from one, as people do."""
    return "'" + ".".join(f"number {step + 1}" if isinstance(step, int) else step for step in steps) + "'"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} …"
