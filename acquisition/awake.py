"""Keeping the computer from falling asleep while a measurement runs: a sleeping engine keeps no schedule.

wakepy asks Windows (SetThreadExecutionState), macOS (caffeinate) and the desktops of Linux. Without a desktop the login
manager of systemd is asked through ``systemd-inhibit``, whose child ends with this process.
"""

import select
import shutil
import subprocess
import sys
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from wakepy import keep

WHY = "a measurement runs"
ASK_S = 10.0      # the longest that it takes to ask everybody, none of whom answers
START_S = 1.0     # systemd-inhibit takes some hundredths; longer, and the login manager does not answer
HELD = b"held"    # what the child of systemd-inhibit says: it is started only when the login manager has agreed


class Awake:
    """A context in which the computer stays awake, if somebody there can be asked for it.

    Attributes
    ----------
    by : str
        Who keeps it awake, inside the context; empty if nobody agreed.
    """

    def __init__(self) -> None:
        self.by = ""
        self._stack = ExitStack()

    @property
    def told(self) -> tuple[str, str]:
        """The sentence for window and file, and ``info`` or ``warning``."""
        if self.by:
            return f"the computer is kept awake ({self.by})", "info"
        return "nobody here can keep the computer awake; switch its sleep off for long measurements", "warning"

    def __enter__(self) -> Self:
        mode = self._stack.enter_context(keep.running(on_fail="pass"))
        self.by = str(mode.method) if mode.active else self._login_manager()
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
            [program, "--what=sleep:idle", "--mode=block", "--who=Halidescope", f"--why={WHY}",
             "sh", "-c", f"echo {HELD.decode()}; exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        )
        assert child.stdout is not None
        spoke, _, _ = select.select([child.stdout], [], [], START_S)
        if spoke and child.stdout.readline().strip() == HELD:
            self._stack.callback(_end, child)
            return "systemd-inhibit"
        child.kill()             # refused, or nobody answers
        child.communicate()
        return ""


def _end(child: "subprocess.Popen[bytes]") -> None:
    child.communicate()      # closes its input: cat ends, and with it the inhibition
