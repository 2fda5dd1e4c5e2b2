"""Work that is cut into parts for all cores: every row once, errors heard."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halidescope.analysis.parallel import FEWEST_ROWS, cores, over_rows


@given(rows=st.integers(0, 3 * FEWEST_ROWS), longest=st.one_of(st.none(), st.integers(1, 5000)))
def test_every_row_is_done_once_in_parts_that_are_not_too_long(rows, longest):
    done, lengths = np.zeros(rows, int), []

    def work(part):
        done[part] += 1
        lengths.append(len(done[part]))

    over_rows(work, rows, longest=longest)
    assert (done == 1).all()
    assert max(lengths, default=0) <= (longest or rows)


@pytest.mark.skipif(cores() < 2, reason="needs two cores")
def test_the_caller_works_too_and_a_part_that_fails_is_heard():
    threads = set()
    together = threading.Barrier(cores(), timeout=60.0)
    first = threading.local()

    def meet(part):
        if not hasattr(first, "met"):
            first.met = True
            together.wait()
        threads.add(threading.get_ident())

    over_rows(meet, 2 * FEWEST_ROWS)
    assert threading.get_ident() in threads
    assert len(threads) >= 2

    def fail(part):
        if part.stop >= 2 * FEWEST_ROWS:
            raise ValueError("the last part")

    with pytest.raises(ValueError, match="the last part"):
        over_rows(fail, 2 * FEWEST_ROWS)
