"""Problems that a person can cause and mend: bad files, impossible requests. Each is one plain sentence.

Problems of instruments are in :mod:`halidescope.drivers.errors`.
"""

from pydantic import ValidationError

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


def sentence_of(error: ValidationError, source: str) -> str:
    """Turn a validation error into one sentence: file, table and key, the value given, what is allowed."""
    parts = []
    for problem in error.errors():
        where = ".".join(str(step) for step in problem["loc"]) or "file"
        if problem["type"] == "extra_forbidden":
            parts.append(f"unknown key '{where}'")
        elif problem["type"] == "missing":
            parts.append(f"'{where}' is missing")
        else:
            given = repr(problem["input"])
            shown = given if len(given) <= SHOWN else f"{given[:SHOWN]} …"
            parts.append(f"'{where}' = {shown}: {problem['msg'][0].lower()}{problem['msg'][1:]}")
    return f"{source}: " + "; ".join(parts)
