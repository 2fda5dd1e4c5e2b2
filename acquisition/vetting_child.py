"""The process that opens HDF5 files first; started and spoken to by :mod:`halidescope.acquisition.vetting`.

Reads a path from each line, goes through everything in the file as a reader would, and answers with one word: what it
holds. What cannot be read is no matter here, only what crashes. Imports nothing but h5py, to be there soon.
"""

import json
import sys

import h5py

from halidescope.acquisition.hdf5_complaints import HDF5_COMPLAINTS
from halidescope.acquisition.memory_limit import limit_memory

MOST_BYTES = 64_000_000       # of a dataset that is read; of larger ones, the places of the chunks
MOST_OBJECTS = 20_000
WORDS = (("entry/halidescope", "measurement"), ("halidescope/list", "list"))


def what_is_in(path: str) -> str:
    """Go through a file; the word for what it holds."""
    word = "other"
    try:
        with h5py.File(path, "r") as file:
            word = next((word for name, word in WORDS if name in file), word)
            if "halidescope_results" in file.attrs:
                word = "results"
            _go_through(file)
    except HDF5_COMPLAINTS:
        pass
    return word


def _go_through(file: h5py.File) -> None:
    waiting: list[h5py.Group | h5py.Dataset] = [file]
    seen: set[object] = set()
    while waiting and len(seen) < MOST_OBJECTS:
        one = waiting.pop()
        try:
            address = h5py.h5o.get_info(one.id).addr
            if address in seen:
                continue
            seen.add(address)
            for name in one.attrs:
                _tried(lambda one=one, name=name: one.attrs[name])
            if isinstance(one, h5py.Dataset):
                _tried(lambda one=one: _read(one))
                continue
            for name in one:
                if isinstance(one.get(name, getlink=True), h5py.HardLink):
                    found = _tried(lambda one=one, name=name: one[name])
                    if isinstance(found, (h5py.Group, h5py.Dataset)):
                        waiting.append(found)
        except HDF5_COMPLAINTS:
            continue


def _read(dataset: h5py.Dataset) -> None:
    if dataset.external or dataset.is_virtual:
        return
    if dataset.nbytes <= MOST_BYTES:
        dataset[()]
    elif dataset.chunks is not None:
        dataset.id.chunk_iter(lambda _: None)


def _tried(act: object) -> object:
    try:
        return act()      # type: ignore[operator]
    except HDF5_COMPLAINTS:
        return None


def main() -> None:
    """Answer until nobody asks any more."""
    limit_memory()
    for line in sys.stdin:
        sys.stdout.write(what_is_in(json.loads(line)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
