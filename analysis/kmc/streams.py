"""Random streams for the compiled kernels: xoshiro256++ words, uniforms, exponential waiting times.

Blackman and Vigna's xoshiro256++ (public domain algorithm); exponential deviates by Marsaglia and Tsang's ziggurat with
256 layers. A stream is four 64-bit words seeded through numpy's SeedSequence, so that every replica of a seed has its
own stream and the same seed gives the same run on every machine.
"""

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Floats = NDArray[np.float64]
Index = int | np.int64

UNIT = 2.0**-53
"""A word shifted right by 11 times this is uniform on [0, 1)."""

_TAIL = 7.69711747013104972          # where the ziggurat's tail begins, and the area of each of its 256 layers
_AREA = 0.0039496598225815571993


def _layers() -> NDArray[np.float64]:
    edges = np.zeros(257)
    edges[0] = _AREA * math.exp(_TAIL)
    edges[1] = _TAIL
    for i in range(2, 256):
        edges[i] = -math.log(_AREA / edges[i - 1] + math.exp(-edges[i - 1]))
    return edges


_EDGE = _layers()
_HEIGHT = np.exp(-_EDGE)


def stream(seed: int, replica: int = 0) -> Words:
    """Return the state of the stream of one replica, (4,) uint64; any pair of seed and replica is independent."""
    if seed < 0 or replica < 0:
        raise ValueError(f"seed = {seed}, replica = {replica}: must not be negative")
    return np.random.SeedSequence(seed, spawn_key=(replica,)).generate_state(4, np.uint64).astype(np.uint64)


@njit(cache=True, nogil=True, inline="always")
def next_word(state: Words) -> np.uint64:
    """Advance the stream and return 64 random bits."""
    s0, s1, s2, s3 = state[0], state[1], state[2], state[3]
    total = s0 + s3
    word = ((total << np.uint64(23)) | (total >> np.uint64(41))) + s0
    t = s1 << np.uint64(17)
    s2 ^= s0
    s3 ^= s1
    state[1] = s1 ^ s2
    state[0] = s0 ^ s3
    state[2] = s2 ^ t
    state[3] = (s3 << np.uint64(45)) | (s3 >> np.uint64(19))
    return word


@njit(cache=True, nogil=True)
def uniform(state: Words) -> float:
    """Return a number uniform on [0, 1)."""
    return (next_word(state) >> np.uint64(11)) * UNIT


@njit(cache=True, nogil=True)
def _outside(state: Words, layer: Index, z: float) -> float:
    """Finish a ziggurat draw that fell outside its layer's sure part."""
    while True:
        if layer == 0:
            return _TAIL - math.log(1.0 - uniform(state))
        low, high = _HEIGHT[layer], _HEIGHT[layer + 1]
        if low + uniform(state) * (high - low) < math.exp(-z):
            return z
        word = next_word(state)
        layer = np.int64(word & np.uint64(255))
        z = (word >> np.uint64(11)) * UNIT * _EDGE[layer]
        if z < _EDGE[layer + 1]:
            return z


@njit(cache=True, nogil=True)
def exponential(state: Words) -> float:
    """Return a deviate of the exponential distribution with mean 1."""
    word = next_word(state)
    layer: Index = np.int64(word & np.uint64(255))   # bits 0 to 7; the uniform is made of bits 11 to 63
    z = (word >> np.uint64(11)) * UNIT * _EDGE[layer]
    if z < _EDGE[layer + 1]:
        return z
    return _outside(state, layer, z)


@njit(cache=True, nogil=True)
def fill_words(state: Words, words: Words, count: int) -> None:
    """Fill ``words[:count]``; the state stays in registers meanwhile."""
    s0, s1, s2, s3 = state[0], state[1], state[2], state[3]
    for j in range(count):
        total = s0 + s3
        words[j] = ((total << np.uint64(23)) | (total >> np.uint64(41))) + s0
        t = s1 << np.uint64(17)
        s2 ^= s0
        s3 ^= s1
        s1 ^= s2
        s0 ^= s3
        s2 ^= t
        s3 = (s3 << np.uint64(45)) | (s3 >> np.uint64(19))
    state[0], state[1], state[2], state[3] = s0, s1, s2, s3


@njit(cache=True, nogil=True)
def draw_block(state: Words, words: Words, pick: Floats, wait: Floats, count: int) -> None:
    """Fill the first ``count`` entries of ``pick`` (uniform on [0, 1)) and ``wait`` (exponential with mean 1).

    ``words`` is room for twice as many words.
    """
    fill_words(state, words, 2 * count)
    for j in range(count):
        pick[j] = (words[j] >> np.uint64(11)) * UNIT
    for j in range(count):
        word = words[count + j]
        layer = np.int64(word & np.uint64(255))
        z = (word >> np.uint64(11)) * UNIT * _EDGE[layer]
        wait[j] = z
        if z >= _EDGE[layer + 1]:
            wait[j] = _outside(state, layer, z)


@intrinsic
def _prefetch(typingctx: Any, array: Any, index: Any) -> Any:
    """Ask the processor to fetch ``array[index]`` into the cache; changes nothing."""
    if not isinstance(array, types.Array):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.gep(view.data, [arguments[1]])
        pointer = builder.bitcast(address, cgutils.voidptr_t)
        number = cgutils.int32_t
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
        hint = builder.module.declare_intrinsic("llvm.prefetch.p0", fnty=kind)
        builder.call(hint, [pointer, number(1), number(3), number(1)])     # to be written, keep near, data
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


prefetch: Any = _prefetch
