"""Files that a person writes in TOML: read and checked, with one sentence about what is wrong with them."""

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from halidescope.acquisition.problems import BadFileError, sentence_of

Model = TypeVar("Model", bound=BaseModel)
DEEPEST = 20     # tables inside tables; what is deeper was written by nobody


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The tables of a file; ``what`` is its name for people, as "recipe".

    Raises
    ------
    BadFileError
        The file is missing, is not UTF-8 text, or is not TOML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadFileError(f"{what} {path}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise BadFileError(f"{what} {path}: not UTF-8 text; save it as UTF-8") from error
    return parse_toml(text, f"{what} {path}")


def parse_toml(text: str, source: str) -> dict[str, Any]:
    """The tables of a text; raises :class:`BadFileError` that begins with ``source``."""
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:     # numbers of thousands of digits, brackets without end
        raise BadFileError(f"{source}: not valid TOML: {error}") from error
    level: list[Any] = [values]
    for _ in range(DEEPEST):
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)
                 if isinstance(inner, (dict, list))]
    if level:
        raise BadFileError(f"{source}: not valid: tables and lists more than {DEEPEST} deep")
    return values


def checked(model: type[Model], values: object, source: str) -> Model:
    """Plain values as a validated model; raises :class:`BadFileError` with file, key, value and what is allowed."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise BadFileError(sentence_of(error, source)) from error
