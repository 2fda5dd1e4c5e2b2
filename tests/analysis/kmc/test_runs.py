"""Runs, ensembles, sweeps, the numbers they report, tracers, and the arrays for pictures."""

import json
import time

import numpy as np
import pytest

from halidescope.analysis import kmc
from halidescope.analysis.kmc.config import KmcConfig
from halidescope.analysis.kmc.exact import ExactFilm
from halidescope.analysis.kmc.lattice import initial_film
from halidescope.analysis.kmc.observables import (
    band_gap,
    composition,
    halo_profile,
    iodide_map,
    layer,
    region,
    side,
)
from halidescope.analysis.kmc.run import run, run_replica

KEYS = ("scheme", "replicas", "events", "cpu_s", "hops_bromide", "hops_iodide", "band_gap_start_ev", "band_gap_end_ev",
        "band_gap_end_sd_ev", "iodide_lost", "tracer_correlation")


def exact(**run_keys: object) -> KmcConfig:
    return KmcConfig.from_mapping({
        "lattice": {"size": 10}, "temperature": {"ambient_k": 350.0, "amplitude_k": 0.0},
        "run": {"scheme": "exact", **run_keys},
    })


def pure(vacancy: float, events: int) -> KmcConfig:
    """One species and vacancies on 20³ sites, followed by tracers."""
    return KmcConfig.from_mapping({
        "lattice": {"size": 20, "bromide": 0.0, "iodide": 1 - vacancy, "vacancy": vacancy},
        "temperature": {"ambient_k": 350.0, "amplitude_k": 0.0},
        "run": {"scheme": "exact", "events": events, "tracer": True},
    })


def test_the_summary_has_its_keys_and_is_json() -> None:
    summary = run(exact(events=20_000)).summary()
    assert tuple(summary) == KEYS
    assert json.loads(json.dumps(summary)) == summary
    assert summary["events"] == 20_000 == summary["hops_bromide"] + summary["hops_iodide"]
    assert summary["tracer_correlation"] is None
    assert summary["band_gap_end_sd_ev"] is None


def test_an_ensemble_reports_progress_and_does_not_depend_on_the_threads() -> None:
    config = exact(events=5_000, replicas=5)
    seen: list[tuple[float, int]] = []
    many = run(config, lambda done, total: seen.append((done, total)), workers=3)
    one = run(config, workers=1)
    assert seen == sorted(seen)
    assert seen[-1] == (5, 5)
    np.testing.assert_array_equal(many.band_gap_ev, one.band_gap_ev)
    assert many.band_gap_ev.shape == (5, 201)
    assert len({t.lattice.tobytes() for t in many.trajectories}) == 5
    middle, low, high = many.band()
    assert np.all(low <= middle)
    assert np.all(middle <= high)
    assert many.species.shape == (201, 3)


def test_simulate_takes_a_seed_and_tables_of_keys() -> None:
    tables = exact(events=2000, replicas=2).to_mapping()
    first, other = kmc.simulate(tables, seed=5), kmc.simulate(tables, seed=6)
    again = kmc.simulate(exact(events=2000, replicas=2, seed=5))
    np.testing.assert_array_equal(first.band_gap_ev, again.band_gap_ev)
    assert np.any(first.band_gap_ev != other.band_gap_ev)
    assert len(first.trajectories) == 2


@pytest.mark.parametrize("config", [exact(events=2**40), kmc.PAPER.replace(run__steps=10**6, lattice__size=10)])
def test_progress_may_stop_a_run_in_its_middle(config: KmcConfig) -> None:
    """Minutes long and more if it were not stopped."""
    def stop(done: float, total: int) -> None:
        assert done < total == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config, stop, workers=1)


def test_a_run_limited_by_time_is_sampled_evenly() -> None:
    film = run_replica(exact(time_s=1e-8, frames=2))
    np.testing.assert_allclose(film.time_s, np.linspace(0, 1e-8, 201))
    assert len(film.frames) == len(film.frame_progress) == 2
    assert np.all(np.diff(film.progress) >= 0)


def test_a_run_limited_by_both_stops_at_the_first() -> None:
    film = run_replica(exact(time_s=1.0, events=1000))
    assert film.events == 1000
    assert film.time_s[-1] < 1e-6


def test_a_sweep_runs_every_value() -> None:
    done = []
    cases = dict(kmc.sweep(exact(events=50_000), "barriers.iodide_ev", [0.10, 0.18], lambda *n: done.append(n)))
    ratio = [case.summary()["hops_iodide"] / case.summary()["hops_bromide"] for case in cases.values()]
    assert list(cases) == [0.10, 0.18]
    assert ratio[0] > 3 * ratio[1]
    assert done[-1] == (2, 2)
    assert done == sorted(done)
    with pytest.raises(ValueError, match="unknown key"):
        next(iter(kmc.sweep(exact(), "barriers.iodine_ev", [0.1])))


def test_the_dilute_tracer_correlation_factor_is_the_known_one() -> None:
    """Simple cubic, one vacancy: <cos θ> = −0.20984, f = (1 + <cos>)/(1 − <cos>) = 0.65311."""
    result = run(pure(1 / 8000, 4_000_000))
    tracer = result.trajectories[0]
    assert tracer.cosines is not None
    assert tracer.pairs is not None
    cosine = tracer.cosines[1, 0] / tracer.pairs[1, 0]
    assert cosine == pytest.approx(-0.20984, abs=0.0015)
    assert (1 + cosine) / (1 - cosine) == pytest.approx(0.65311, abs=0.002)
    assert result.tracer_correlation() == pytest.approx(0.65311, abs=0.006)


def test_the_tracer_correlation_at_the_papers_vacancies() -> None:
    assert run(pure(0.008, 6_000_000)).tracer_correlation() == pytest.approx(0.6567, abs=0.005)


@pytest.mark.slow
def test_the_tracer_correlation_at_the_papers_vacancies_with_more_digits() -> None:
    assert run(pure(0.008, 100_000_000)).tracer_correlation() == pytest.approx(0.6567, abs=0.0015)


@pytest.mark.slow
def test_displacements_agree_with_the_sum_over_correlations() -> None:
    """<R²> over hops, counted from tagged ions, is the same factor."""
    film = ExactFilm(pure(0.008, 1), 3, tracer=True)
    film.advance(max_events=200_000)
    values = []
    for _ in range(25):
        tracer = film.tracer
        assert tracer is not None
        before, hops = tracer.displacement.copy(), tracer.hops.copy()
        film.advance(max_events=100_000)
        early = np.sum((tracer.displacement - before) ** 2), np.sum(tracer.hops - hops)
        film.advance(max_events=300_000)
        late = np.sum((tracer.displacement - before) ** 2), np.sum(tracer.hops - hops)
        values.append((late[0] - early[0]) / (late[1] - early[1]))
    error = np.std(values) / 5
    assert error < 0.012
    assert np.mean(values) == pytest.approx(0.6567, abs=4 * error)


def test_the_ions_of_the_tracer_are_those_of_the_lattice() -> None:
    config = KmcConfig.from_mapping({
        "lattice": {"size": 10}, "temperature": {"amplitude_k": 150.0, "waist_fraction": 0.4},
        "run": {"scheme": "exact", "tracer": True},
    })
    film = ExactFilm(config, 3, tracer=True)
    start = initial_film(config, 3)
    species = np.full(1000, -1)
    assert film.tracer is not None
    species[film.tracer.ion[start != 2]] = start[start != 2]
    film.advance(max_events=50_000)
    ions = film.tracer.ion
    np.testing.assert_array_equal(ions < 0, film.lattice == 2)
    np.testing.assert_array_equal(species[ions[ions >= 0]], film.lattice[ions >= 0])
    assert film.counts.escapes > 100
    # The sum of what ions moved is, on the torus, where they are now.
    home = np.empty(1000, int)
    where = np.flatnonzero(start != 2)
    home[: where.size] = where
    x, y, z = np.unravel_index(home[ions[ions >= 0]], (10, 10, 10))
    moved = film.tracer.displacement[ions[ions >= 0]]
    landed = np.ravel_multi_index(tuple((np.stack([x, y, z]) + moved.T) % 10), (10, 10, 10))
    np.testing.assert_array_equal(landed, np.flatnonzero(ions >= 0))


def test_pictures_show_what_the_lattice_holds() -> None:
    lattice = np.zeros((10, 10, 10), np.int8)
    lattice[4:6, 4:6, :] = 1
    lattice[0, 0, 3] = 2
    assert layer(lattice, 3)[0, 0] == 2
    assert side(lattice).shape == (10, 10)
    assert np.all(side(lattice)[4:6] == 1)
    columns = iodide_map(lattice)
    assert columns[4, 4] == 1.0
    assert columns[0, 0] == 0.0
    lattice[0, 0, :] = 2
    assert np.isnan(iodide_map(lattice)[0, 0])
    radius, share, vacancy = halo_profile(lattice)
    assert share[0] == 1.0
    assert np.all(share[2:] == 0)
    assert np.all(np.diff(radius) > 0)
    assert vacancy.shape == radius.shape


def test_the_band_gap_of_the_paper() -> None:
    assert float(band_gap(0.0)) == 2.46
    assert float(band_gap(0.36)) == pytest.approx(2.2834, abs=1e-4)
    counts = np.array([64.0, 35.2, 0.8])
    assert composition(counts, kmc.PAPER) == pytest.approx(0.36)
    without = kmc.PAPER.replace(reading__composition="without-vacancies")
    assert composition(counts, without) == pytest.approx(35.2 / 99.2)
    assert composition(np.zeros(3), kmc.PAPER) == 0.0
    assert region(20) == slice(8, 12)
    assert region(2) == slice(0, 1)


def test_a_spot_of_exact_composition_has_it_every_time() -> None:
    for seed in range(5):
        film = initial_film(kmc.PAPER, seed, inner=region(20)).reshape(20, 20, 20)
        np.testing.assert_array_equal(np.bincount(film[8:12, 8:12].ravel(), minlength=3), [204, 113, 3])
        np.testing.assert_array_equal(np.bincount(film.ravel(), minlength=3), [5120, 2816, 64])


def test_too_small_a_lattice_is_refused() -> None:
    config = KmcConfig.from_mapping({"lattice": {"size": 2, "bromide": 0.0, "iodide": 0.95, "vacancy": 0.05}})
    with pytest.raises(ValueError, match="too few sites"):
        initial_film(config, 1)


def test_a_short_run_takes_little_time_once_compiled() -> None:
    run_replica(exact(events=10))
    start = time.process_time()
    run_replica(exact(events=10_000))
    assert time.process_time() - start < 0.5
