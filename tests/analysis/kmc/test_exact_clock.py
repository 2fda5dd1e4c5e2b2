"""The exact clock against what is known of it in closed form, for null events and class lists alike."""

import math

import numpy as np
import pytest
from numba import njit
from scipy import stats

from halidescope.analysis.kmc.config import KmcConfig
from halidescope.analysis.kmc.exact import ExactFilm
from halidescope.analysis.kmc.lattice import BROMIDE, DX, DY, DZ, IODIDE, VACANCY, initial_film
from halidescope.analysis.kmc.rates import BOLTZMANN_EV_K, beam_shape
from halidescope.analysis.kmc.records import EventLog, new_log

METHODS = ("null-event", "class-lists")


def exact(**keys: object) -> KmcConfig:
    """A film at 350 K without a beam, on the exact clock."""
    plain = {"run__scheme": "exact", "temperature__ambient_k": 350.0, "temperature__amplitude_k": 0.0}
    return KmcConfig().replace(**(plain | keys))


def rate(barrier_ev: float, temperature_k: float = 350.0) -> float:
    return 1e12 * math.exp(-barrier_ev / (BOLTZMANN_EV_K * temperature_k))


def one_vacancy(size: int, **keys: object) -> KmcConfig:
    """A film with a single vacancy in a mixture of halides."""
    share = 1 / size**3
    return exact(lattice__size=size, lattice__vacancy=share, lattice__iodide=0.4, lattice__bromide=0.6 - share, **keys)


@njit
def replay(lattice, size, start, direction, time, rates, dx, dy, dz, scaled, expected, seen):
    """Follow a single vacancy through a log: waiting times in units of the mean, expected and seen hops by slot.

    A slot is the direction and the species in it; expected counts add up the probabilities rate/Σ rates.
    """
    x, y, z = start
    before = 0.0
    for i in range(direction.size):
        total = 0.0
        for d in range(6):
            site = (((x + dx[d]) % size) * size + (y + dy[d]) % size) * size + (z + dz[d]) % size
            total += rates[lattice[site]]
        for d in range(6):
            site = (((x + dx[d]) % size) * size + (y + dy[d]) % size) * size + (z + dz[d]) % size
            expected[d, lattice[site]] += rates[lattice[site]] / total
        scaled[i] = (time[i] - before) * total
        before = time[i]
        d = direction[i]
        old = (x * size + y) * size + z
        x, y, z = (x + dx[d]) % size, (y + dy[d]) % size, (z + dz[d]) % size
        new = (x * size + y) * size + z
        seen[d, lattice[new]] += 1
        lattice[old], lattice[new] = lattice[new], lattice[old]


def logged(config: KmcConfig, events: int, method: str, **keys: object) -> tuple[np.ndarray, EventLog]:
    """Run with a log; returns the film at the start and the log."""
    log = new_log(events)
    film = initial_film(config, 11)
    ExactFilm(config, 11, method=method, log=log, lattice=film.copy(), **keys).advance(max_events=events)
    assert log.used[0] == events
    return film, log


@pytest.mark.parametrize("method", METHODS)
def test_waiting_times_are_exponential_and_directions_follow_the_rates(method: str) -> None:
    config = one_vacancy(6, barriers__bromide_ev=0.13)
    film, log = logged(config, 1_000_000, method)
    rates = np.array([rate(0.13), rate(0.10), 0.0])
    start = tuple(int(i) for i in np.unravel_index(np.flatnonzero(film == VACANCY)[0], (6, 6, 6)))
    scaled, expected, seen = np.empty(1_000_000), np.zeros((6, 3)), np.zeros((6, 3))
    replay(film, 6, start, log.code[:, 0], log.time_s, rates, DX, DY, DZ, scaled, expected, seen)
    assert stats.kstest(scaled, "expon").pvalue > 1e-3
    slots = (slice(None), slice(0, 2))
    assert stats.chisquare(seen[slots].ravel(), expected[slots].ravel()).pvalue > 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_every_state_of_a_tiny_torus_is_equally_likely(method: str) -> None:
    """1 vacancy, 2 iodides, 5 bromides on 2³ sites: 8!/(1! 2! 5!) = 168 states."""
    config = exact(lattice__size=2, lattice__vacancy=1 / 8, lattice__iodide=2 / 8, lattice__bromide=5 / 8,
                   barriers__bromide_ev=0.11)
    film = ExactFilm(config, 5, method=method)
    samples, slow = 12_000, rate(0.11)
    powers = 3 ** np.arange(8)
    codes = np.empty(samples, int)
    for i in range(samples):
        film.advance(until_s=(i + 1) * 4 / slow)
        codes[i] = film.lattice @ powers
    states, counts = np.unique(codes, return_counts=True)
    assert states.size == 168
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_states_after_an_event_are_weighted_with_their_total_rate(method: str) -> None:
    """Counting states per event and not per time favours those that are left soon; weights 1/R make them even."""
    config = exact(lattice__size=2, lattice__vacancy=1 / 8, lattice__iodide=2 / 8, lattice__bromide=5 / 8,
                   barriers__bromide_ev=0.11)
    film = ExactFilm(config, 6, method=method)
    rates = np.array([rate(0.11), rate(0.10), 0.0])
    samples, powers = 12_000, 3 ** np.arange(8)
    visits: dict[int, int] = {}
    leaving: dict[int, float] = {}
    for _ in range(samples):
        film.advance(max_events=23)            # odd and even numbers of hops reach different sublattices
        if film.counts.events % 2:
            film.advance(max_events=1)
        code = int(film.lattice @ powers)
        visits[code] = visits.get(code, 0) + 1
        if code not in leaving:
            vacancy = int(np.flatnonzero(film.lattice == VACANCY)[0])
            leaving[code] = 2 * sum(rates[film.lattice[vacancy ^ bit]] for bit in (1, 2, 4))
    # An even number of hops keeps the vacancy on its sublattice: half of the 168 states.
    assert len(visits) == 84
    weights = np.array([leaving[code] for code in visits])
    expected = weights / weights.sum() * samples
    assert stats.chisquare(list(visits.values()), expected).pvalue > 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_a_vacancy_diffuses_as_a_free_walker(method: str) -> None:
    """<R²> = a² Γ t with Γ six times the rate of one hop."""
    share = 1 / 8**3
    config = exact(lattice__size=8, lattice__vacancy=share, lattice__iodide=1 - share, lattice__bromide=0.0)
    _, log = logged(config, 1_000_000, method)
    path = np.cumsum(np.stack([DX, DY, DZ])[:, log.code[:, 0]], axis=1)
    gamma = 6 * rate(0.10)
    edges = np.arange(1, int(log.time_s[-1] * gamma / 50)) * 50 / gamma
    at = path[:, np.searchsorted(log.time_s, edges) - 1]
    squared = np.sum(np.diff(at, axis=1) ** 2, axis=0)
    assert squared.mean() / 50 == pytest.approx(1.0, abs=4 * math.sqrt(2 / 3 / squared.size))


@pytest.mark.parametrize("method", METHODS)
def test_the_hazard_between_events_is_exponential_while_the_film_heats_up(method: str) -> None:
    """With rates that rise with time, the integral of the true rate from event to event is Exp(1)."""
    share = 1 / 8**3
    config = exact(
        lattice__size=8, lattice__vacancy=share, lattice__iodide=1 - share, lattice__bromide=0.0,
        barriers__iodide_ev=0.25, temperature__ambient_k=300.0, temperature__amplitude_k=150.0,
        temperature__waist_fraction=100.0, temperature__heating_rate=2e4, reading__escape="none",
    )
    _, log = logged(config, 400_000, method)
    fine = np.linspace(0, log.time_s[-1], 2_000_001)
    temperature = 300.0 - 150.0 * np.expm1(-2e4 * fine) * beam_shape(8, 100.0).mean()
    k = 6e12 * np.exp(-0.25 / (BOLTZMANN_EV_K * temperature))
    hazard = np.concatenate([[0.0], np.cumsum((k[1:] + k[:-1]) / 2 * np.diff(fine))])
    waits = np.diff(np.interp(log.time_s, fine, hazard), prepend=0.0)
    assert k[-1] > 10 * k[0]
    assert stats.kstest(waits, "expon").pvalue > 1e-3
    for part in np.array_split(waits[:100_000], 5):            # while it is heating: no drift of the mean
        assert part.mean() == pytest.approx(1.0, abs=4 / math.sqrt(part.size))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("site", "power"), [pytest.param("ion", 1.0, marks=pytest.mark.slow), ("vacancy", -1.0)]
)
def test_vacancies_gather_where_detailed_balance_puts_them(method: str, site: str, power: float) -> None:
    """p/(1 − p) of a column is proportional to k(T) of the ion's site, or to 1/k(T) of the vacancy's."""
    config = exact(
        lattice__size=6, lattice__vacancy=0.05, lattice__iodide=0.95, lattice__bromide=0.0,
        temperature__amplitude_k=250.0, temperature__waist_fraction=0.4, reading__temperature_at=site,
        reading__escape="none",
    )
    film = ExactFilm(config, 3, method=method)
    occupied = np.zeros(36)
    samples = 8_000
    for i in range(samples):
        film.advance(until_s=(i + 1) * 3 / rate(0.10))
        occupied += (film.lattice == VACANCY).reshape(36, 6).mean(axis=1)
    share = occupied / samples
    k = np.exp(-0.10 / (BOLTZMANN_EV_K * (350 + 250 * beam_shape(6, 0.4).ravel())))
    slope = np.polyfit(np.log(k), np.log(share / (1 - share)), 1)[0]
    assert slope == pytest.approx(power, abs=0.06)


@pytest.mark.parametrize("method", METHODS)
def test_hops_are_shared_as_numbers_and_rates_say(method: str) -> None:
    film = ExactFilm(exact(), 7, method=method)
    film.advance(max_events=20_000_000 if method == "null-event" else 1_500_000)
    counts = film.counts
    ratio = counts.hops_iodide / counts.hops_bromide
    within = 0.006 if method == "null-event" else 0.02             # some five standard errors
    assert ratio == pytest.approx(21.10, rel=within)
    bromides, iodides, _ = film.species_counts()
    assert ratio * bromides / iodides == pytest.approx(38.37, rel=within)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_lost_without_escape(method: str) -> None:
    film = ExactFilm(exact(lattice__size=12, temperature__amplitude_k=100.0, reading__escape="none"), 7, method=method)
    before = film.species_counts()
    film.advance(max_events=200_000)
    np.testing.assert_array_equal(film.species_counts(), before)
    assert film.counts.escapes == 0


@pytest.mark.parametrize("method", METHODS)
def test_escape_turns_iodides_into_vacancies_one_by_one(method: str) -> None:
    config = exact(lattice__size=12, temperature__amplitude_k=150.0, temperature__waist_fraction=0.4)
    film = ExactFilm(config, 7, method=method)
    before = film.species_counts()
    film.advance(max_events=100_000)
    after, lost = film.species_counts(), film.counts.escapes
    assert lost > 300                                              # more than the room there is at first
    np.testing.assert_array_equal(after - before, [0, -lost, lost])
    assert film.vacancies == after[VACANCY]


def test_both_methods_lose_iodide_at_the_same_pace() -> None:
    config = exact(lattice__size=10, temperature__amplitude_k=150.0, temperature__waist_fraction=0.3,
                   temperature__heating_rate=3e8)
    lost = {}
    for method in METHODS:
        films = [ExactFilm(config, 20, replica, method=method) for replica in range(30)]
        for film in films:
            film.advance(until_s=1e-8)
        lost[method] = np.array([film.counts.escapes for film in films])
    assert lost["null-event"].mean() > 20
    assert stats.ttest_ind(*lost.values(), equal_var=False).pvalue > 1e-3


def test_class_lists_take_over_where_few_trials_are_accepted_and_hand_back() -> None:
    poor = exact(lattice__iodide=0.001, lattice__bromide=0.991, temperature__ambient_k=250.0)
    film = ExactFilm(poor, 1)
    assert film.method == "null-event"
    film.advance(max_events=20_000)
    assert film.method == "class-lists"
    rich = ExactFilm(exact(), 1)
    rich.advance(max_events=1_000_000)
    assert rich.method == "null-event"


def test_a_film_keeps_its_statistics_when_the_method_changes_in_its_middle() -> None:
    config = exact(lattice__size=10)
    film = ExactFilm(config, 9)
    film.advance(max_events=100_000)
    film._enter_lists()
    film._method = "class-lists"
    film.advance(max_events=100_000)
    film._lists = None
    film._method = "null-event"
    film._sort_by_bin()
    film.advance(max_events=800_000)
    assert film.counts.hops_iodide / film.counts.hops_bromide == pytest.approx(21.1, rel=0.06)
    np.testing.assert_array_equal(film.species_counts(), ExactFilm(config, 9).species_counts())


def test_the_same_seed_and_replica_give_the_same_run() -> None:
    ends = []
    for replica in (0, 0, 1):
        film = ExactFilm(exact(lattice__size=8), 4, replica)
        film.advance(max_events=5000)
        ends.append((film.time_s, film.lattice.tobytes()))
    assert ends[0] == ends[1] != ends[2]


def test_time_stops_where_it_is_asked_to() -> None:
    film = ExactFilm(exact(lattice__size=8), 4)
    film.advance(until_s=1e-9)
    assert film.time_s == 1e-9
    with pytest.raises(ValueError, match="until_s or max_events"):
        film.advance()


def test_a_film_without_vacancies_waits_or_says_that_nothing_moves() -> None:
    full = exact(lattice__size=4, lattice__vacancy=0.0, lattice__iodide=0.0, lattice__bromide=1.0)
    film = ExactFilm(full, 1)
    film.advance(until_s=1.0)
    assert film.time_s == 1.0
    assert film.counts.events == 0
    with pytest.raises(ArithmeticError, match="nothing in this film can move"):
        ExactFilm(full, 1).advance(max_events=10)


def test_a_film_of_vacancies_alone_says_that_nothing_moves() -> None:
    empty = exact(lattice__size=4, lattice__vacancy=1.0, lattice__iodide=0.0, lattice__bromide=0.0)
    with pytest.raises(ArithmeticError, match="nothing in this film can move"):
        ExactFilm(empty, 1).advance(max_events=10)


def test_a_large_lattice_fetches_ahead_and_keeps_its_books() -> None:
    """Above the cache's size the kernel takes its other path; the records must still be the vacancies."""
    film = ExactFilm(exact(lattice__size=104), 2)
    before = film.species_counts()
    film.advance(max_events=300_000)
    np.testing.assert_array_equal(film.species_counts(), before)
    assert film.counts.hops_iodide / film.counts.hops_bromide == pytest.approx(21.1, rel=0.05)
    records = film._vacancies[: film.vacancies].astype(np.int64)
    sites = ((records >> 20) * 104 + ((records >> 10) & 1023)) * 104 + (records & 1023)
    np.testing.assert_array_equal(np.sort(sites), np.flatnonzero(film.lattice == VACANCY))


def test_unknown_methods_are_refused() -> None:
    with pytest.raises(ValueError, match="class-lists"):
        ExactFilm(exact(), 1, method="magic")


def test_the_species_codes_are_those_the_tests_assume() -> None:
    assert (BROMIDE, IODIDE, VACANCY) == (0, 1, 2)
