"""The same work on many files: here one after another, on this machine's processors, or on a Dask cluster."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from halidescope.acquisition.problems import BadFileError, RunEndedError
from halidescope.analysis.parallel import cores

Job = TypeVar("Job")
Done = TypeVar("Done")
CONNECT_S = 15.0


def over_files(
    work: Callable[[Job], Done], jobs: Sequence[Job], *, processes: int | None = None, scheduler: str | None = None
) -> Iterator[Done]:
    """Results of ``work`` for all jobs, in their order, as soon as each is there.

    Parameters
    ----------
    work : callable
        A function of a module, with arguments and results that can be pickled; problems are part of its result.
    processes : int, optional
        At most so many at once; by default one for each processor.
    scheduler : str, optional
        Address of a Dask scheduler, whose workers have this package and see the files under the same paths.

    Raises
    ------
    BadFileError
        Dask is not installed.
    RunEndedError
        Nobody answers at the scheduler's address, or the cluster lost its workers.
    """
    if scheduler is not None:
        yield from _on_cluster(work, jobs, scheduler)
        return
    workers = min(processes or cores(), len(jobs))
    if workers < 2:
        yield from map(work, jobs)
        return
    # spawned, not forked: numba's and HDF5's threads do not survive a fork
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(work, jobs)


def _on_cluster(work: Callable[[Job], Done], jobs: Sequence[Job], address: str) -> Iterator[Done]:
    try:
        from distributed import Client
        from distributed.client import FutureCancelledError
        from distributed.scheduler import KilledWorker
    except ImportError as error:
        raise BadFileError("Dask is not installed; pip install 'halidescope[dask]'") from error
    try:
        client = Client(address, timeout=CONNECT_S)
    except (OSError, TimeoutError, ValueError) as error:
        raise RunEndedError(f"no Dask scheduler at {address} ({error}); start one with `dask scheduler`") from error
    with client:
        futures = client.map(work, jobs, pure=False)
        try:
            for future in futures:
                yield future.result()
        except (KilledWorker, FutureCancelledError) as error:
            raise RunEndedError(f"the Dask cluster at {address} lost its workers: {error}") from error
