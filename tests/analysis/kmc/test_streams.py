"""Random streams: the right distributions, and the same numbers for the same seed."""

import numpy as np
import pytest
from numba import njit
from scipy import stats

from halidescope.analysis.kmc.streams import draw_block, exponential, fill_words, next_word, stream, uniform


@njit
def sample_exponential(state, out):
    for i in range(out.size):
        out[i] = exponential(state)


@njit
def sample_uniform(state, out):
    for i in range(out.size):
        out[i] = uniform(state)


@njit
def sample_words(state, out):
    for i in range(out.size):
        out[i] = next_word(state)


def test_xoshiro_follows_its_definition() -> None:
    """xoshiro256++ computed again with Python's whole numbers."""
    mask = 2**64 - 1

    def rotate(value: int, by: int) -> int:
        return (value << by | value >> (64 - by)) & mask

    state = [1, 2, 3, 4]
    expected = []
    for _ in range(50):
        expected.append((rotate((state[0] + state[3]) & mask, 23) + state[0]) & mask)
        t = state[1] << 17 & mask
        state[2] ^= state[0]
        state[3] ^= state[1]
        state[1] ^= state[2]
        state[0] ^= state[3]
        state[2] ^= t
        state[3] = rotate(state[3], 45)
    got = np.empty(50, np.uint64)
    sample_words(np.array([1, 2, 3, 4], np.uint64), got)
    assert got.tolist() == expected
    fill_words(np.array([1, 2, 3, 4], np.uint64), got, 50)
    assert got.tolist() == expected


def test_waits_are_exponential_also_in_the_tail() -> None:
    out = np.empty(2_000_000)
    sample_exponential(stream(1), out)
    assert stats.kstest(out, "expon").pvalue > 1e-3
    tail = out[out > 7.7] - 7.7                                    # beyond the ziggurat's layers
    assert tail.size == pytest.approx(2e6 * np.exp(-7.7), rel=0.2)
    assert stats.kstest(tail, "expon").pvalue > 1e-3


def test_uniforms_are_uniform() -> None:
    out = np.empty(1_000_000)
    sample_uniform(stream(1), out)
    assert 0 <= out.min() < out.max() < 1
    assert stats.kstest(out, "uniform").pvalue > 1e-3


def test_blocks_have_the_same_distributions() -> None:
    state, words = stream(2), np.empty(256, np.uint64)
    pick, wait = np.empty((4000, 128)), np.empty((4000, 128))
    for i in range(4000):
        draw_block(state, words, pick[i], wait[i], 128)
    assert stats.kstest(pick.ravel(), "uniform").pvalue > 1e-3
    assert stats.kstest(wait.ravel(), "expon").pvalue > 1e-3
    assert abs(np.corrcoef(pick.ravel(), wait.ravel())[0, 1]) < 5 / np.sqrt(pick.size)


def test_streams_of_seeds_and_replicas_differ_and_repeat() -> None:
    keys = [(1, 0), (1, 1), (2, 0)]
    states = [tuple(stream(*key).tolist()) for key in keys]
    assert len(set(states)) == 3
    assert states == [tuple(stream(*key).tolist()) for key in keys]
    with pytest.raises(ValueError, match="must not be negative"):
        stream(-1)
