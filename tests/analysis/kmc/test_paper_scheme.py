"""The paper's step scheme: the preset gives the paper's curve, other readings do not, and the sums are right."""

import numpy as np
import pytest

from halidescope.analysis.kmc import steps as steps_module
from halidescope.analysis.kmc.config import PAPER, KmcConfig
from halidescope.analysis.kmc.lattice import IODIDE, VACANCY, initial_film, vacancy_records
from halidescope.analysis.kmc.rates import BOLTZMANN_EV_K, beam_shape
from halidescope.analysis.kmc.run import KmcResult, run, run_replica
from halidescope.analysis.kmc.steps import _subcell_sum, box_sums, new_trace, run_steps
from halidescope.analysis.kmc.streams import stream


@pytest.fixture(scope="module")
def preset() -> KmcResult:
    return run(PAPER.replace(run__replicas=16))


def test_the_preset_rises_from_2_28_to_2_44(preset: KmcResult) -> None:
    summary = preset.summary()
    assert summary["band_gap_start_ev"] == pytest.approx(2.28, abs=0.015)
    assert summary["band_gap_end_ev"] == pytest.approx(2.44, abs=0.01)
    assert summary["band_gap_end_sd_ev"] < 0.01


def test_the_preset_loses_a_quarter_of_the_iodide(preset: KmcResult) -> None:
    assert 600 < preset.summary()["iodide_lost"] < 850


def test_species_are_conserved_but_for_escape(preset: KmcResult) -> None:
    for trajectory in preset.trajectories:
        change = trajectory.film - trajectory.film[0]
        assert np.all(change[:, 0] == 0)
        np.testing.assert_array_equal(change[:, IODIDE], -change[:, VACANCY])
        np.testing.assert_array_equal(np.bincount(trajectory.lattice.ravel(), minlength=3), trajectory.film[-1])


@pytest.mark.parametrize(
    "keys",
    [
        {"barriers__bromide_ev": 0.10, "barriers__iodide_ev": 0.21},
        {"reading__escape": "none"},
        {"reading__acceptance": "literal"},
    ],
    ids=["inverted barriers", "no escape", "P as written"],
)
def test_other_readings_stay_where_they_start(keys: dict[str, object]) -> None:
    summary = run(PAPER.replace(run__replicas=16, **keys)).summary()
    assert summary["band_gap_end_ev"] == pytest.approx(summary["band_gap_start_ev"], abs=0.02)


def test_p_as_written_averages_the_subcells_share() -> None:
    film = initial_film(PAPER, 1)
    records = vacancy_records(film, 20)
    trace = new_trace(1)
    run_steps(PAPER, film, np.append(records, np.zeros(64, np.uint32)), np.array([64]), 0, 1, trace, stream(1))
    assert trace.acceptance[0] == pytest.approx(0.008, rel=0.1)


def test_sliding_sums_equal_plain_sums() -> None:
    rng = np.random.default_rng(1)
    size, width = 7, 3
    weight = rng.random((size * size, 3))
    lattice = rng.integers(0, 3, size**3).astype(np.int8)
    field = weight[np.arange(size**3) // size, lattice].reshape(size, size, size).copy()
    plain = sum(
        np.roll(field, (-i, -j, -k), (0, 1, 2)) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)
    )
    sums = field.copy()
    box_sums(sums, width)
    np.testing.assert_allclose(sums, plain)
    x, y, z = 0, 6, 3
    record = np.uint32(x << 20 | y << 10 | z)
    assert _subcell_sum(lattice, size, weight, record, width) == pytest.approx(plain[x, y, z])
    sums = field.copy()
    box_sums(sums, 4)                                              # an even width reaches one further down
    assert _subcell_sum(lattice, size, weight, record, 4) == pytest.approx(sums[x, y, z])


def test_naive_and_sliding_sums_give_the_same_run() -> None:
    """Many vacancies take the sliding sums; the same steps made by hand with plain sums agree in P."""
    config = PAPER.replace(lattice__vacancy=0.1, lattice__bromide=0.548, reading__escape="none")
    film = initial_film(config, 1)
    records = vacancy_records(film, 20)
    assert records.size > steps_module.NAIVE_UP_TO
    trace = new_trace(1)
    run_steps(config, film.copy(), records.copy(), np.array([records.size]), 0, 1, trace, stream(1))
    temperature = 300 - 150 * np.expm1(-0.02) * beam_shape(20, 0.1).ravel()
    weight = np.zeros((400, 3))
    weight[:, 0] = np.exp(-0.21 / (BOLTZMANN_EV_K * temperature))
    weight[:, 1] = np.exp(-0.10 / (BOLTZMANN_EV_K * temperature))
    cell = weight[np.arange(8000) // 20, film].sum()
    expected = np.mean([_subcell_sum(film, 20, weight, record, 4) / cell for record in records])
    assert trace.acceptance[0] == pytest.approx(expected, rel=1e-9)


def test_a_run_in_parts_is_the_run_in_one() -> None:
    whole = run_replica(PAPER.replace(run__steps=60))
    parts = run_replica(PAPER.replace(run__steps=60, run__frames=3))
    np.testing.assert_array_equal(whole.lattice, parts.lattice)
    assert parts.frame_progress == (15.0, 30.0, 45.0)
    assert len(parts.frames) == 3
    np.testing.assert_array_equal(whole.lattice, run_replica(PAPER.replace(run__steps=60)).lattice)
    assert np.any(whole.lattice != run_replica(PAPER.replace(run__steps=60, run__seed=2)).lattice)


def test_time_per_step_is_the_mean_waiting_time() -> None:
    """All iodide, no beam: every vacancy waits 1/(6 k)."""
    share = 0.001
    config = KmcConfig.from_mapping({
        "lattice": {"size": 10, "bromide": 0.0, "iodide": 1 - share, "vacancy": share},
        "temperature": {"amplitude_k": 0.0}, "run": {"steps": 10},
    })
    k = 1e12 * np.exp(-0.10 / (8.617333262e-5 * 300))
    assert run_replica(config).time_s[-1] == pytest.approx(10 / (6 * k), rel=1e-6)
