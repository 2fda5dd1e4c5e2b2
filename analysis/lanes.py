"""Vectors of eight numbers in compiled code, written out where the compiler's own do not reach memory's speed.

A loop over sums that the compiler vectorises cannot read ahead at the same time, ends in one shuffled sum after the
other, and adds in an order that may differ from call to call. With these functions a kernel says itself what is a
vector, and the order of every sum is fixed. On processors whose vectors are shorter the compiler takes two or four.
They work in compiled code only; arrays are contiguous and are indexed flat.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.errors import TypingError
from numba.extending import intrinsic, models, register_model

WIDTH = 8
DOUBLE, COUNT, WORD = ir.DoubleType(), ir.IntType(16), ir.IntType(64)
DOUBLES, WORDS = ir.VectorType(DOUBLE, WIDTH), ir.VectorType(WORD, WIDTH)
FUSED = ("contract",)     # a product and its sum may be one instruction


class _Doubles(types.Type):
    """Eight doubles."""

    def __init__(self) -> None:
        super().__init__(name="EightDoubles")


class _Words(types.Type):
    """Eight words of four detector counts each."""

    def __init__(self) -> None:
        super().__init__(name="EightWords")


doubles, words = _Doubles(), _Words()


@register_model(_Doubles)
class _DoublesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, DOUBLES)


@register_model(_Words)
class _WordsModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, WORDS)


def _place(context: Any, builder: Any, kind: Any, arguments: Any, pointed: Any) -> Any:
    """Pointer to ``pointed`` at an element; the first two arguments are an array and the index, counted flat."""
    data = context.make_array(kind)(context, builder, arguments[0]).data
    return builder.bitcast(builder.gep(data, [arguments[1]]), pointed.as_pointer())


def _contiguous(array: Any) -> None:
    if not isinstance(array, types.Array) or array.layout != "C":
        raise TypingError(f"expected a contiguous array, found {array}")


def _zeros(typing_context: Any) -> Any:
    """Eight zeros."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(DOUBLES, [0.0] * WIDTH)

    return doubles(), generate


def _load(typing_context: Any, array: Any, index: Any) -> Any:
    """Eight neighbouring elements from ``index`` on, as doubles; of a float64 or a uint16 array."""
    _contiguous(array)
    if array.dtype not in (types.float64, types.uint16):
        raise TypingError(f"expected float64 or uint16, found {array.dtype}")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if signature.args[0].dtype == types.float64:
            return builder.load(_place(context, builder, signature.args[0], arguments, DOUBLES), align=8)
        counts = ir.VectorType(COUNT, WIDTH)
        found = builder.load(_place(context, builder, signature.args[0], arguments, counts), align=2)
        return builder.sitofp(builder.zext(found, ir.VectorType(ir.IntType(32), WIDTH)), DOUBLES)

    return doubles(array, index), generate


def _store(typing_context: Any, array: Any, index: Any, values: Any) -> Any:
    """Write eight neighbouring elements of a float64 array."""
    _contiguous(array)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature.args[0], arguments, DOUBLES)
        builder.store(arguments[2], place, align=8)
        return context.get_dummy_value()

    return types.void(array, index, values), generate


def _load_words(typing_context: Any, counts: Any, index: Any, each: Any) -> Any:
    """The next 8 · ``each`` words of uint16 counts in ``each`` (1, 2 or 4) vectors; the first takes words 0, each, …

    So every one of ``each`` neighbouring words goes to the same lane, of another vector.
    """
    _contiguous(counts)
    if not isinstance(each, types.IntegerLiteral):
        raise TypingError("the number of vectors must be a literal number")
    number = each.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        whole = ir.VectorType(WORD, WIDTH * number)
        found = builder.load(_place(context, builder, signature.args[0], arguments, whole), align=2)
        parts = []
        for first in range(number):
            places = [ir.Constant(ir.IntType(32), first + number * lane) for lane in range(WIDTH)]
            mask = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), places)
            parts.append(builder.shuffle_vector(found, ir.Constant(whole, ir.Undefined), mask))
        return context.make_tuple(builder, signature.return_type, parts)

    return types.UniTuple(words, number)(counts, index, each), generate


def _count(typing_context: Any, word: Any, which: Any) -> Any:
    """Count number ``which`` (0 … 3) of eight words, as doubles."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        which = builder.trunc(arguments[1], WORD) if arguments[1].type.width > WORD.width else arguments[1]
        bits = builder.shl(which, ir.Constant(WORD, 4))
        shift: Any = ir.Constant(WORDS, ir.Undefined)
        for lane in range(WIDTH):
            shift = builder.insert_element(shift, bits, ir.Constant(ir.IntType(32), lane))
        low = ir.Constant(WORDS, [0xFFFF] * WIDTH)
        return builder.sitofp(builder.and_(builder.lshr(arguments[0], shift), low), DOUBLES)

    return doubles(word, types.uint64), generate


def _minus(typing_context: Any, a: Any, b: Any) -> Any:
    """a − b."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fsub(*arguments)

    return doubles(a, b), generate


def _times_plus(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """a · b + c."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b, c = arguments
        return builder.fadd(builder.fmul(a, b, flags=FUSED), c, flags=FUSED)

    return doubles(a, b, c), generate


def _sum_of(typing_context: Any, values: Any) -> Any:
    """Sum of the eight, halves to halves."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        left, size = arguments[0], WIDTH
        while size > 1:
            size //= 2
            kind = ir.VectorType(ir.IntType(32), size)
            halves = [
                builder.shuffle_vector(left, left, ir.Constant(kind, list(range(first, first + size))))
                for first in (0, size)
            ]
            left = builder.fadd(*halves)
        return builder.extract_element(left, ir.Constant(ir.IntType(32), 0))

    return types.float64(values), generate


zeros: Any = intrinsic(_zeros)
load: Any = intrinsic(_load)
store: Any = intrinsic(_store)
load_words: Any = intrinsic(prefer_literal=True)(_load_words)
count: Any = intrinsic(_count)
minus: Any = intrinsic(_minus)
times_plus: Any = intrinsic(_times_plus)
sum_of: Any = intrinsic(_sum_of)
