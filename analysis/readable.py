"""Arrays that may only be read, for kernels that only read: without a copy and without a compiler.

Numba compiles a function anew for read-only arrays, which takes seconds; memory maps and broadcast views are such.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


class _Memory:
    """The memory of an array, described as if it could be written; keeps the array alive."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array
        place, _ = array.__array_interface__["data"]
        self.__array_interface__ = {**array.__array_interface__, "data": (place, False)}


def for_kernels(array: NDArray[Any]) -> NDArray[Any]:
    """The same numbers at the same place, of the type that kernels are compiled for.

    Only for functions that never write what they are given: writing into a memory map opened for reading ends the
    process.
    """
    return array if array.flags.writeable else np.asarray(_Memory(array))
