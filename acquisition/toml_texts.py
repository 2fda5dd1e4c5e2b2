"""TOML that a person wrote, or anybody: tables as plain values, or one sentence."""

import tomllib
from typing import Any

from halidescope.acquisition.problems import BadFileError

DEEPEST = 20     # tables inside tables; what is deeper was written by nobody


def toml_values(text: str | bytes, source: str) -> dict[str, Any]:
    """The values of a TOML text (bytes are UTF-8); raises BadFileError that names ``source``."""
    try:
        values = tomllib.loads(text if isinstance(text, str) else text.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadFileError(f"{source}: not UTF-8 text; save it as UTF-8") from error
    except (ValueError, RecursionError) as error:     # numbers of thousands of digits, brackets without end
        raise BadFileError(f"{source}: not valid TOML: {error}") from error
    level: list[Any] = [values]
    for _ in range(DEEPEST):
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)
                 if isinstance(inner, (dict, list))]
    if level:
        raise BadFileError(f"{source}: not valid: tables and lists more than {DEEPEST} deep")
    return values
