"""Keeping the computer from falling asleep while a measurement runs: a sleeping engine keeps no schedule.

wakepy asks Windows (SetThreadExecutionState), macOS (caffeinate) and the desktops of Linux. Without a desktop the login
manager of systemd is asked through ``systemd-inhibit``, whose child ends with this process.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from wakepy import keep

WHY = "a measurement runs"
START_S = 0.3     # a refused systemd-inhibit ends within this


class Awake:
    """A context in which the computer stays awake, if somebody there can be asked for it.

    Parameters
    ----------
    note : callable
        Told the sentence, and ``info`` or ``warning``: how it is kept awake, or that it is not.
    """

    def __init__(self, note: Callable[[str, str], object]) -> None:
        self._note = note
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        mode = self._stack.enter_context(keep.running(on_fail="pass"))
        by = str(mode.method) if mode.active else self._login_manager()
        if by:
            self._note(f"the computer is kept awake ({by})", "info")
        else:
            self._note("nobody here can keep the computer awake; switch its sleep off for long measurements", "warning")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _login_manager(self) -> str:
        """Ask systemd's login manager; its name if it agreed."""
        program = shutil.which("systemd-inhibit") if sys.platform == "linux" else None
        if program is None:
            return ""
        child = subprocess.Popen(
            [program, "--what=sleep:idle", "--mode=block", "--who=Halidescope", f"--why={WHY}", "cat"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )
        self._stack.callback(_end, child)
        try:
            child.wait(START_S)
        except subprocess.TimeoutExpired:
            return "systemd-inhibit"
        return ""


def _end(child: "subprocess.Popen[bytes]") -> None:
    assert child.stdin is not None
    child.stdin.close()      # cat ends, and with it the inhibition
    child.wait()
