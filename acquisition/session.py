"""The session file: where an engine's door is, and the key to it. Readable by its owner only."""

import os
import sys
import warnings
from pathlib import Path

import msgspec
import platformdirs

from halidescope.acquisition.problems import ProblemError


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """What a window needs to reach a running engine."""

    address: str
    port: int
    authkey: str          # hexadecimal
    pid: int
    ring: str             # name of the shared-memory ring
    microscope: str       # path of the microscope file, or its description


def default_session_path() -> Path:
    """The session file of this user's engine."""
    with warnings.catch_warnings():
        # without XDG_RUNTIME_DIR (services, containers) it falls back to a folder below /tmp, and warns; see below
        warnings.simplefilter("ignore")
        return Path(platformdirs.user_runtime_dir("halidescope", appauthor=False)) / "session.json"


def write_session(path: Path, session: Session) -> None:
    """Write the file whole or not at all, mode 600 from its first moment.

    Raises
    ------
    ProblemError
        The folder belongs to somebody else, who could then command the laser.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if sys.platform != "win32" and path.parent.stat().st_uid not in (os.getuid(), 0):
        raise ProblemError(f"session folder {path.parent}: belongs to another user; choose another session file")
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.encode(session))
    os.replace(part, path)


def read_session(path: Path) -> Session:
    """Read a session file; raises :class:`ProblemError` if there is no engine's session."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Session)
    except OSError as error:
        raise ProblemError(f"session file {path}: {error.strerror}; no engine runs here, start one") from error
    except msgspec.MsgspecError as error:
        raise ProblemError(f"session file {path}: damaged ({error}); end the engine and start a new one") from error
