"""The kernel for films of one temperature: its clock, which gives no trial a waiting time of its own."""

import itertools

import numpy as np
import pytest
from numba import njit
from scipy import stats

from halidescope.analysis.kmc import even, nullevent
from halidescope.analysis.kmc.config import KmcConfig
from halidescope.analysis.kmc.exact import ExactFilm
from halidescope.analysis.kmc.rates import BOLTZMANN_EV_K
from halidescope.analysis.kmc.streams import stream

RATE = 1e12 * np.exp(-0.10 / (BOLTZMANN_EV_K * 350.0))


def one_species(**keys: object) -> KmcConfig:
    """A single vacancy among iodides: every trial is a hop, and six of them are possible at any time."""
    return KmcConfig.from_mapping({
        "lattice": {"size": 8, "bromide": 0.0, "iodide": 1 - 1 / 512, "vacancy": 1 / 512},
        "temperature": {"ambient_k": 350.0, "amplitude_k": 0.0}, "run": {"scheme": "exact"},
    }).replace(**keys)


@njit
def sample_gamma(state, shape, out):
    for i in range(out.size):
        out[i] = even.gamma(state, shape)


@pytest.mark.parametrize("shape", [1.0, 2.0, 7.0, 128.0])
def test_gamma_deviates_are_gamma_deviates(shape: float) -> None:
    out = np.empty(200_000)
    sample_gamma(stream(1), shape, out)
    assert stats.kstest(out, stats.gamma(shape).cdf).pvalue > 1e-3


@pytest.mark.parametrize(("events", "samples"), [
    pytest.param(1, 20_000, marks=pytest.mark.slow), (50, 10_000),
    pytest.param(128, 5_000, marks=pytest.mark.slow), (300, 3_000),
])
def test_the_time_of_so_many_events_is_gamma_distributed(events: int, samples: int) -> None:
    film = ExactFilm(one_species(), 3)
    times = np.zeros(samples + 1)
    for i in range(samples):
        film.advance(max_events=events)
        times[i + 1] = film.time_s
    assert film.counts.events == events * samples == film.counts.trials
    assert stats.kstest(np.diff(times) * 6 * RATE, stats.gamma(events).cdf).pvalue > 1e-3


@pytest.mark.parametrize("mean", [0.5, 40.0, 127.0, 300.0])
def test_the_number_of_events_in_a_time_is_poisson_distributed(mean: float) -> None:
    film = ExactFilm(one_species(), 4)
    samples = 4_000
    seen = np.zeros(samples + 1, int)
    for i in range(samples):
        film.advance(until_s=(i + 1) * mean / (6 * RATE))
        seen[i + 1] = film.counts.events
    counts = np.diff(seen)
    edges = stats.poisson(mean).ppf(np.linspace(0, 1, 9)[1:-1])
    bins = np.concatenate([[-1], np.unique(edges), [np.inf]])
    expected = np.diff(stats.poisson(mean).cdf(bins)) * samples
    got = np.array([np.sum((counts > low) & (counts <= high)) for low, high in itertools.pairwise(bins)])
    assert stats.chisquare(got, expected).pvalue > 1e-3


def test_events_and_time_stop_it_together_without_a_bias() -> None:
    """Stopped by whichever comes first of 60 events and the time of 60: the clock is a gamma deviate cut off there."""
    samples, cut = 6_000, 60.0
    film = ExactFilm(one_species(), 5)
    spent = np.empty(samples)
    for i in range(samples):
        before = film.time_s
        film.advance(until_s=before + cut / (6 * RATE), max_events=60)
        spent[i] = (film.time_s - before) * 6 * RATE
    early = spent[spent < cut * (1 - 1e-9)]
    law = stats.gamma(60)
    assert early.size == pytest.approx(samples * law.cdf(cut), abs=4 * np.sqrt(samples / 4))
    assert stats.kstest(law.cdf(early) / law.cdf(cut), "uniform").pvalue > 1e-3


def test_both_kernels_make_the_same_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Iodide left in the middle columns of a film that starts unmixed, after a while, many times."""
    config = KmcConfig.from_mapping({
        "lattice": {"size": 6, "bromide": 0.5, "iodide": 0.4, "vacancy": 0.1},
        "temperature": {"ambient_k": 350.0, "amplitude_k": 0.0}, "run": {"scheme": "exact"},
    })
    start = np.repeat(np.array([0, 1, 2], np.int8), [108, 86, 22])
    found = {}
    for name in ("even", "general"):
        films = [ExactFilm(config, 6, replica, method="null-event", lattice=start.copy()) for replica in range(300)]
        if name == "general":
            monkeypatch.setattr(even, "advance", _by_the_general_kernel(films))
        for film in films:
            film.advance(until_s=2 / RATE)
        found[name] = np.array([[film.lattice[:72].sum(), film.counts.events] for film in films])
    for column in range(2):
        assert stats.ttest_ind(found["even"][:, column], found["general"][:, column], equal_var=False).pvalue > 1e-3
        assert found["even"][:, column].std() > 0


def _by_the_general_kernel(films: list[ExactFilm]):
    """Stand in for the even kernel with the general one, which takes a film's own books."""
    of = {id(film.lattice): film for film in films}

    def advance(lattice, size, vacancies, count, rates, clock, until_s, tally, events, trials, state):
        film = of[id(lattice)]
        return nullevent.advance(
            lattice, size, vacancies, film._starts, film._rates, clock, until_s, tally, events, trials, state, None,
            None,
        )

    return advance
