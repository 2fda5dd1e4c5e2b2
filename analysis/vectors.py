"""Vectors where the compiler would choose otherwise.

On processors with 512-bit vectors LLVM prefers 256 bits, because the first of them lowered their clock for wide ones.
Measured on the sums of the unmixing, wide vectors are worth a third of the time; where a processor has none, the
request has no effect.
"""

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

LINE = 64   # bytes of a cache line and of the widest vector: a vector across two lines costs two loads



def _wide(typing_context: Any) -> Any:
    """Ask for the widest vectors in the compiled function that calls this."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        attributes = builder.function.attributes
        attributes.discard("alwaysinline")   # numba hands it down from a caller that has it
        attributes.add("noinline")           # inlined, it would get the attributes of its caller
        # llvmlite lets only attributes through that it knows by name; LLVM itself takes any string
        set.add(attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), generate


wide: Any = intrinsic(_wide)


def aligned(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Zeros that begin with a cache line."""
    size = int(np.prod(shape))
    room = np.zeros(size + LINE // 8)
    first = -room.ctypes.data % LINE // 8
    return room[first : first + size].reshape(shape)
