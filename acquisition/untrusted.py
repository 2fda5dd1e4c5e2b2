"""Groups, numbers and texts of an HDF5 file that nobody vouches for: no link is followed, nothing huge is unpacked.

All raise KeyError or ValueError, whose words belong into the sentence of whoever reads the file.
"""

import h5py
from numpy.typing import NDArray

MOST_BYTES = 1 << 30           # of anything but the spectra


def group_at(start: h5py.Group, name: str) -> h5py.Group:
    """A group by its path below ``start``, reached through hard links only."""
    group = start
    for step in name.split("/"):
        _require_own(group, step, name)
        group = group[step]
        if not isinstance(group, h5py.Group):
            raise KeyError(f"{name} is no group")
    return group


def dataset_in(group: h5py.Group, name: str) -> h5py.Dataset:
    """A dataset whose values are in this file."""
    _require_own(group, name, name)
    dataset = group[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise KeyError(f"{name} is no dataset of this file")
    return dataset


def numbers_in(group: h5py.Group, name: str) -> NDArray:
    """A dataset's numbers, if they are numbers and not too many."""
    dataset = dataset_in(group, name)
    if dataset.dtype.kind not in "uifb" or dataset.nbytes > MOST_BYTES:
        raise ValueError(f"{name} holds {dataset.nbytes} bytes of {dataset.dtype}")
    return dataset[()]


def text_in(group: h5py.Group, name: str) -> bytes:
    """A dataset's one text."""
    dataset = dataset_in(group, name)
    if dataset.shape != () or dataset.dtype.kind not in "OS" or dataset.dtype.itemsize > MOST_BYTES:
        raise ValueError(f"{name} is no text")
    return dataset[()]


def _require_own(group: h5py.Group, step: str, name: str) -> None:
    link = group.get(step, getlink=True)
    if not isinstance(link, h5py.HardLink):
        raise KeyError(f"{name} is {'missing' if link is None else 'a link to elsewhere'}")
