"""Vectors, and reading ahead, where the compiler would choose otherwise.

On processors with 512-bit vectors LLVM prefers 256 bits, because the first of them lowered their clock for wide ones.
Measured on the sums of the unmixing, wide vectors are worth a third of the time; where a processor has none, the
request has no effect.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
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


def _prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of element ``index`` of a contiguous array, counted flat; past its end nothing happens.

    The processor reads ahead within a page of memory only, and a spectrum is a page: without this, sums over spectra
    wait for memory first and compute then. It stops vectorisation: call it in a loop of its own, for the next rows,
    some hundred channels at a time.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        place = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        builder.call(function, [place, word(0), word(3), word(1)])   # to be read, into all caches, data
        return context.get_dummy_value()

    return types.void(array, index), generate


prefetch: Any = intrinsic(_prefetch)


def aligned(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Zeros that begin with a cache line."""
    size = int(np.prod(shape))
    room = np.zeros(size + LINE // 8)
    first = -room.ctypes.data % LINE // 8
    return room[first : first + size].reshape(shape)
