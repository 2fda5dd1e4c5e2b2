"""Who has the processor first: the engine before the window, both before what analyses beside them.

On a Linux desktop niceness counts only among the processes of one session (``sched_autogroup``), and the engine and its
helpers have sessions of their own: the whole session has to give way then; ``/proc/self/autogroup`` is for that
(sched(7)).
"""

import os
from contextlib import suppress
from pathlib import Path

AUTOGROUP = Path("/proc/self/autogroup")
MOST_VARIABLE = "HALIDESCOPE_NICENESS"      # nobody gives way by more than this: for computers that others keep busy


def give_way(niceness: int) -> None:
    """Let others have the processor first: this thread and those it starts, and this session as a group.

    A computer without such priorities, or one that forbids it, stays as it is. The variable HALIDESCOPE_NICENESS, a
    number, limits it: where other people's work keeps all processors busy, who gives way to it as well never ends.

    Parameters
    ----------
    niceness : int
        0 (as everybody) to 19 (only what nobody else wants).
    """
    most = os.environ.get(MOST_VARIABLE, "")
    niceness = min(niceness, int(most)) if most.isdecimal() else niceness
    with suppress(OSError):
        if hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, 0, niceness)
    give_way_as_session(niceness)


def give_way_as_session(niceness: int) -> None:
    """Only the session as a group; 0 puts it back."""
    # no such file: no groups of sessions, and niceness counts among all processes
    with suppress(OSError), AUTOGROUP.open("r+", encoding="ascii") as file:
        file.write(str(niceness))
