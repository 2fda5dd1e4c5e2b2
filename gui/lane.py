"""One thread beside the window's, for calls that may wait; the answers come back in the window's own thread.

Everything that can block (the engine's door, a file, a plan) goes through a lane. A lane does one call after the other,
in order; what must not queue behind something else gets a lane of its own.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QObject, Qt, Signal


@dataclass(frozen=True)
class _Parcel:
    future: "Future[Any]"
    then: Callable[[Any], object]
    otherwise: Callable[[BaseException], object]


class Lane(QObject):
    """Calls done one after the other in a thread of their own.

    Parameters
    ----------
    name : str
        Name of the thread, as a debugger or a leak check sees it.
    parent : QObject, optional
    """

    _finished = Signal(object)

    def __init__(self, name: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        # queued even when a call is over before its caller has gone on: an answer never comes inside the question
        self._finished.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self._closed = False
        self._closing = threading.Lock()

    def ask(
        self, call: Callable[[], Any], then: Callable[[Any], object], otherwise: Callable[[BaseException], object]
    ) -> None:
        """Do ``call`` in the lane's thread; give its result to ``then`` or its exception to ``otherwise``, here."""
        future = self._pool.submit(self._unless_closed, call)
        future.add_done_callback(lambda done: self._send(_Parcel(done, then, otherwise)))

    def _unless_closed(self, call: Callable[[], Any]) -> Any:
        return None if self._closed else call()

    def _send(self, parcel: _Parcel) -> None:
        with self._closing:
            if not self._closed:      # else this object may be gone
                self._finished.emit(parcel)

    def _deliver(self, parcel: _Parcel) -> None:
        if self._closed or parcel.future.cancelled():
            return
        error = parcel.future.exception()
        if error is None:
            parcel.then(parcel.future.result())
        else:
            parcel.otherwise(error)

    def close(self, last: Callable[[], object] | None = None) -> None:
        """Drop what waits, let the call in hand end, do ``last``, end the thread. Answers that come now are dropped.

        All that goes on beside the window, which must not stand still for it.
        """
        with self._closing:
            self._closed = True
        if last is not None:
            self._pool.submit(last)
        self._pool.shutdown(wait=False)
