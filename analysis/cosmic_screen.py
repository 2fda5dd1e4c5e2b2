"""The cheap pass of :mod:`halidescope.analysis.cosmic` over a detector's integers, sixteen bits at a time.

It may raise a suspicion too many and never one too few: every rounding is towards suspicion, and what it raises is
judged by the exact test in :mod:`~halidescope.analysis.cosmic_kernels`. Numba widens every integer to 64 bits, which
makes vectors four times shorter; the arithmetic is therefore given to LLVM in its own words.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from halidescope.analysis.vectors import wide

Words = NDArray[np.uint16]
GREATEST = 65_535
HALF = ir.IntType(16)


class Limits(NamedTuple):
    """The noise in integers: excess² · factor² / 2¹⁶ is compared with signal + ``read``, all in 16 bits.

    Attributes
    ----------
    skew : uint16
        Taken off the excess, counts: the skewness of few counts.
    factor : uint16
        256 / sqrt(variance in squared thresholds per count), rounded up.
    most : uint16
        Greatest excess whose product with ``factor`` fits.
    ceiling : uint16
        Its square: no signal is compared with more.
    read : uint16
        Read noise as counts of signal with the same variance.
    """

    skew: np.uint16
    factor: np.uint16
    most: np.uint16
    ceiling: np.uint16
    read: np.uint16


NO_LIMITS = Limits(*[np.uint16(0)] * 5)


def limits_of(gain: float, read_variance: float, sigmas: float, spread: float) -> Limits | None:
    """The noise in integers; None where a threshold is too small for them."""
    per_count = sigmas * sigmas * spread / gain
    if not per_count > (256.0 / GREATEST) ** 2:
        return None
    factor = math.ceil(256.0 / math.sqrt(per_count))
    most = GREATEST // factor
    skew = min(math.floor(sigmas * sigmas / (6.0 * gain)), GREATEST)
    read = min(math.floor(read_variance * gain), GREATEST)
    return Limits(*(np.uint16(number) for number in (skew, factor, most, (most * factor) ** 2 >> 16, read)))


@njit(cache=True, nogil=True)
def darks_of(dark: NDArray[np.float64]) -> Words:
    """Darks as integers, rounded so that no signal is taken for more than it is."""
    return np.minimum(np.maximum(np.ceil(dark), 0.0), float(GREATEST)).astype(np.uint16)


def _suspicion(
    typing_context: Any, found: Any, a: Any, b: Any, c: Any, d: Any, y: Any, dark: Any, skew: Any, factor: Any,
    most: Any, ceiling: Any, read: Any,
) -> Any:  # fmt: skip
    """``found``, or 1 where the middle channel sticks out of its four neighbours (all uint16)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        found, a, b, c, d, y, dark, skew, factor, most, ceiling, read = arguments

        def call(name: str, left: Any, right: Any) -> Any:
            form = ir.FunctionType(HALF, [HALF, HALF])
            return builder.call(builder.module.declare_intrinsic(f"llvm.{name}", [HALF], form), [left, right])

        low = call("umax", call("umin", a, b), call("umin", c, d))
        high = call("umin", call("umax", a, b), call("umax", c, d))
        level = builder.add(builder.and_(low, high), builder.lshr(builder.xor(low, high), HALF(1)))   # mean, down
        excess = call("usub.sat", call("usub.sat", y, level), skew)
        scaled = builder.zext(builder.mul(call("umin", excess, most), factor), ir.IntType(32))
        square = builder.trunc(builder.lshr(builder.mul(scaled, scaled), ir.IntType(32)(16)), HALF)
        noise = call("umin", call("uadd.sat", call("usub.sat", level, dark), read), ceiling)
        # an excess of nothing is none, even where nothing is expected
        sticks_out = builder.and_(
            builder.icmp_unsigned(">=", square, noise), builder.icmp_unsigned("!=", excess, HALF(0))
        )
        return builder.or_(found, builder.zext(sticks_out, HALF))

    return types.uint16(*[types.uint16] * 12), generate


suspicion: Any = intrinsic(_suspicion)


@njit(cache=True, nogil=True)
def suspicious(y: Words, dark: Words, near: int, far: int, limits: Limits) -> bool:
    """May any channel stick out of those ``near`` and ``far`` channels on either side?"""
    wide()
    searched = y.size - 2 * far
    # shifted views: indices that cannot be negative, so that the loop vectorises
    far_left, near_left, middle = y[:searched], y[far - near :], y[far:]
    near_right, far_right, level_of_dark = y[far + near :], y[2 * far :], dark[far:]
    skew, factor, most, ceiling, read = limits
    found = np.uint16(0)
    for j in range(searched):
        found = suspicion(
            found, far_left[j], near_left[j], near_right[j], far_right[j], middle[j], level_of_dark[j], skew, factor,
            most, ceiling, read,
        )  # fmt: skip
    return found != 0
