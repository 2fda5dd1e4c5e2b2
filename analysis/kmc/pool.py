"""Many independent pieces of work on threads, in order, that can be stopped between two of them."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Result]:
    """Results of ``work`` for every item, on all cores by default.

    ``progress`` is called with the numbers of done and of all; what it raises drops what has not begun.
    """
    results = []
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        jobs = [pool.submit(work, item) for item in items]
        try:
            for done, job in enumerate(jobs, start=1):
                results.append(job.result())
                if progress is not None:
                    progress(done, len(jobs))
        finally:
            for job in jobs:
                job.cancel()
    return results
