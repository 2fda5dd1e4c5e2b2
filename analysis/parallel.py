"""Both cores for many rows: compiled kernels release the interpreter lock, so threads are enough."""

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache

SHARE = 2            # of what is left, divided by the cores, is the next part: long ones first, short ones at the end
SHORTEST = 512       # rows; shorter parts cost more to hand out than they even out
FEWEST_ROWS = 2000   # below this a second thread costs more than it brings


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def over_rows(work: Callable[[slice], None], rows: int, *, longest: int | None = None) -> None:
    """Call ``work`` with slices that cover ``rows`` rows, each at most ``longest``, on all cores when there are many.

    The result must not depend on where the cuts are; an error in any part is raised. The caller's thread takes parts
    like the others, each as soon as it is free: a core that is taken away for a while costs one part, not half of all.
    """
    length = max(1, min(rows, longest or rows))
    threads = cores() if rows >= FEWEST_ROWS else 1
    parts: deque[slice] = deque()
    first = 0
    while first < rows:
        even = max(-(-(rows - first) // (SHARE * threads)), SHORTEST) if threads > 1 else length
        parts.append(slice(first, min(first + min(length, even), rows)))
        first = parts[-1].stop

    def take() -> None:
        while True:
            try:
                part = parts.popleft()
            except IndexError:
                return
            work(part)

    if threads == 1 or len(parts) == 1:
        take()
        return
    others = [_helpers(threads - 1).submit(take) for _ in range(threads - 1)]
    try:
        take()
    finally:
        begun = [other for other in others if not other.cancel()]      # the rest has nothing left to do
        wait(begun)
    for other in begun:
        other.result()


@cache
def _helpers(threads: int) -> ThreadPoolExecutor:
    """Threads beside the caller's, kept: starting them for every call would cost as much as a thousand spectra."""
    return ThreadPoolExecutor(threads, thread_name_prefix="rows")
