"""Text files as instruments' programs write them: any common encoding, decimal points or commas."""

import tokenize
from pathlib import Path

from halidescope.acquisition.problems import ScanFileError

MOST_BYTES = 2_000_000_000
# what NumPy raises on files that are none of its own, or damaged; their heads are Python literals
NUMPY_COMPLAINTS = (
    ValueError, EOFError, SyntaxError, MemoryError, TypeError, OverflowError, KeyError, IndexError, AttributeError,
    RuntimeError, NotImplementedError, tokenize.TokenError,
)  # fmt: skip


def read_text(path: Path) -> str:
    """A text in UTF-8 (with or without a mark), UTF-16 with a mark, or else Latin-1; raises ScanFileError."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ScanFileError(f"{path}: text of {path.stat().st_size / 1e9:.1f} GB, allowed {MOST_BYTES / 1e9:g} GB")
        data = path.read_bytes()
    except OSError as error:
        raise ScanFileError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def number(cell: str, path: Path) -> float:
    """A number with a decimal point or comma; raises ScanFileError naming the cell."""
    text = cell.strip()
    try:
        return float(text.replace(",", ".") if "." not in text else text)
    except ValueError as error:
        raise ScanFileError(f"{path}: {text[:40]!r} where a number must be; the file is damaged") from error
