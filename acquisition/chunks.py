"""Spectra as compressed chunks of an HDF5 dataset, packed and unpacked by several threads.

HDF5's own filters run in one thread, under its lock. A chunk is made of bytes that any HDF5 program understands (the
standard shuffle and deflate filters), so it can be packed here, side by side, and handed over ready. Deflate comes from
Intel's ISA-L: ten times as fast as zlib at nearly the same size (measured, see the benchmarks' results).
"""

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import h5py
import numpy as np
from isal import igzip_lib, isal_zlib
from numpy.typing import NDArray

LEVEL = 2                  # ISA-L's levels are 0 to 3; denser ones are slower and hardly smaller on noise
ROWS = 32                  # spectra in a chunk
THREADS = min(8, os.cpu_count() or 1)


def make_cube(group: h5py.Group, name: str, shape: tuple[int, ...], kind: str) -> h5py.Dataset:
    """An empty dataset of spectra, shape points + (channels,), in chunks of one line's up to 32 spectra."""
    *outer, inner, channels = shape
    return group.create_dataset(
        name, shape, kind, fillvalue=0, compression="gzip", compression_opts=4, shuffle=True,
        chunks=(*(1,) * len(outer), min(ROWS, inner), channels),
    )


class CubeWriter:
    """Writes lines of spectra into a dataset of :func:`make_cube`; several are packed at a time.

    Use as a context; on leaving it everything is written. ``change`` is applied to each block in its thread.
    """

    def __init__(self, dataset: h5py.Dataset, change: Callable[[NDArray], NDArray] | None = None) -> None:
        self._dataset, self._change = dataset, change
        self._rows = dataset.chunks[-2]
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="packing")
        self._waiting: deque[tuple[tuple[int, ...], Future[bytes]]] = deque()

    def __enter__(self) -> "CubeWriter":
        return self

    def __exit__(self, *reason: object) -> None:
        try:
            if reason[0] is None:
                self._settle(0)
        finally:
            self._pool.shutdown(cancel_futures=True)

    def write(self, line: tuple[int, ...], first: int, spectra: NDArray) -> None:
        """Put spectra (n, channels) at ``dataset[(*line, first : first + n)]``; ``first`` begins a chunk."""
        for start in range(0, len(spectra), self._rows):
            block = spectra[start : start + self._rows]
            at = (*line, first + start, 0)
            self._waiting.append((at, self._pool.submit(_pack, block, self._rows, self._change)))
        self._settle(4 * THREADS)

    def _settle(self, most: int) -> None:
        while len(self._waiting) > most:
            at, packed = self._waiting.popleft()
            self._dataset.id.write_direct_chunk(at, packed.result())


def _pack(block: NDArray, rows: int, change: Callable[[NDArray], NDArray] | None) -> bytes:
    """A chunk as HDF5 keeps it: filled up to its full size, bytes shuffled, deflated."""
    if change is not None:
        block = change(block)
    if len(block) < rows:
        block = np.concatenate([block, np.zeros((rows - len(block), block.shape[1]), block.dtype)])
    raw = np.ascontiguousarray(block).view(np.uint8).reshape(-1, block.dtype.itemsize)
    planes = np.empty(raw.shape[::-1], np.uint8)
    for k in range(len(planes)):
        planes[k] = raw[:, k]
    return isal_zlib.compress(planes, LEVEL)


def _plain(dataset: h5py.Dataset) -> bool:
    """Whether a dataset is packed as ours are, so that it can be unpacked here."""
    filters = dataset.id.get_create_plist()
    names = [filters.get_filter(k)[0] for k in range(filters.get_nfilters())]
    return (
        names == [h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE] and dataset.chunks is not None
        and all(size == 1 for size in dataset.chunks[:-2]) and dataset.chunks[-1] == dataset.shape[-1]
        and dataset.dtype.kind in "uif" and dataset.dtype.byteorder != ">"
    )


class CubeReader:
    """Reads spectra of a dataset, many chunks at a time; what cannot be unpacked is told and the rest given.

    A dataset that is packed otherwise is read by HDF5 itself. Close it, or use it as a context.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._dataset = dataset
        self._own = _plain(dataset)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="unpacking")

    def __enter__(self) -> "CubeReader":
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads. Safe to call twice."""
        self._pool.shutdown()

    def rows(self, line: tuple[int, ...], first: int, count: int) -> tuple[NDArray, list[int]]:
        """Spectra (count, channels) at ``dataset[(*line, first : first + count)]``, and which of them are lost (zeros).

        Raises
        ------
        OSError, RuntimeError, ValueError
            The dataset cannot be read at all.
        """
        spectra = np.zeros((count, self._dataset.shape[-1]), self._dataset.dtype)
        return spectra, self._into(spectra, line, first)

    def everything(self) -> tuple[NDArray, list[int]]:
        """All spectra, and the points (row × columns + column) that are lost (zeros); raises as :meth:`rows`."""
        *outer, inner, _ = self._dataset.shape
        spectra = np.zeros(self._dataset.shape, self._dataset.dtype)
        lost: list[int] = []
        for line in np.ndindex(*outer):
            start = int(np.ravel_multi_index((*line, 0), (*outer, inner)))
            lost += [start + row for row in self._into(spectra[line], line, 0)]
        return spectra, lost

    def sums(self, channels: slice) -> NDArray[np.float64]:
        """Sum over some channels for every point, shape points, NaN where a chunk is lost; keeps no spectra."""
        *outer, inner, width = self._dataset.shape
        totals = np.full((*outer, inner), np.nan)
        rows = self._dataset.chunks[-2] if self._own else inner

        def total(line: tuple[int, ...], first: int, packed: bytes) -> None:
            planes = _planes(packed, rows, width, self._dataset.dtype.itemsize)
            if planes is not None:
                band = planes[:, : min(rows, inner - first), channels]
                totals[line][first : first + rows] = _joined(band, self._dataset.dtype).sum(axis=1, dtype=np.float64)

        waiting: deque[Future[None]] = deque()
        for line in np.ndindex(*outer):
            for first in range(0, inner, rows):
                if not self._own:
                    part = self._dataset[(*line, slice(first, first + rows), channels)]
                    totals[line][first : first + rows] = part.sum(axis=1, dtype=np.float64)
                    continue
                try:
                    _, packed = self._dataset.id.read_direct_chunk((*line, first, 0))
                except (OSError, RuntimeError):
                    continue
                waiting.append(self._pool.submit(total, line, first, packed))
                while len(waiting) > 8 * THREADS:
                    waiting.popleft().result()
        for future in waiting:
            future.result()
        return totals

    def _into(self, spectra: NDArray, line: tuple[int, ...], first: int) -> list[int]:
        if not self._own:
            spectra[...] = self._dataset[(*line, slice(first, first + len(spectra)))]
            return []
        rows = self._dataset.chunks[-2]
        lost: list[int] = []
        waiting: deque[tuple[range, Future[bool]]] = deque()

        def settle(most: int) -> None:
            while len(waiting) > most:
                place, whole = waiting.popleft()
                if not whole.result():
                    spectra[place.start : place.stop] = 0
                    lost.extend(place)

        for begin in range(first - first % rows, first + len(spectra), rows):
            skip = max(first - begin, 0)
            place = range(begin + skip - first, min(begin + rows - first, len(spectra)))
            try:
                _, packed = self._dataset.id.read_direct_chunk((*line, begin, 0))
            except (OSError, RuntimeError):
                lost.extend(place)
                continue
            target = spectra[place.start : place.stop]
            waiting.append((place, self._pool.submit(_unpack, packed, target, rows, skip)))
            settle(8 * THREADS)
        settle(0)
        return lost


def _unpack(packed: bytes, into: NDArray, rows: int, skip: int) -> bool:
    """Unpack one chunk, ``skip`` rows left out, into its place; False if it is damaged. Memory: one chunk's."""
    planes = _planes(packed, rows, into.shape[1], into.dtype.itemsize)
    if planes is None:
        return False
    _join(planes[:, skip : skip + len(into)], into)
    return True


def _planes(packed: bytes, rows: int, channels: int, width: int) -> NDArray[np.uint8] | None:
    """The shuffled bytes of a chunk, shape (width, rows, channels); None if it is damaged."""
    size = rows * channels * width
    try:
        unpacker = isal_zlib.decompressobj()
        raw = unpacker.decompress(packed, size + 1)
    except igzip_lib.IsalError:  # type: ignore[misc]
        return None
    if len(raw) != size or not unpacker.eof:
        return None
    return np.frombuffer(raw, np.uint8).reshape(width, rows, channels)


def _join(planes: NDArray[np.uint8], into: NDArray) -> None:
    """Put numbers together from their bytes, shape (width, …); byte by byte is five times as fast as turning them."""
    each = into.view(np.uint8).reshape(*into.shape, len(planes))
    for k, plane in enumerate(planes):
        each[..., k] = plane


def _joined(planes: NDArray[np.uint8], kind: np.dtype) -> NDArray:
    """Numbers of shape planes.shape[1:] from their bytes."""
    numbers = np.empty(planes.shape[1:], kind)
    _join(planes, numbers)
    return numbers
