"""Comparison with data: the posterior covers synthetic truths, and a curve the model cannot make is noticed."""

import time
from dataclasses import replace

import numpy as np
import pytest

from halidescope.analysis import kmc
from halidescope.analysis.kmc.calibration import calibrated
from halidescope.analysis.kmc.comparison import Comparison, compare
from halidescope.analysis.kmc.config import KmcConfig
from halidescope.analysis.kmc.emulator import GRID, Emulator, Prior, simulated_curve, train
from halidescope.analysis.kmc.inference import NAMES, SLOWEST, Measured

CONFIG = KmcConfig.from_mapping({"lattice": {"size": 10}, "run": {"steps": 150},
                                  "temperature": {"waist_fraction": 0.2}})
REPLICAS = 6
DURATION_S = 500.0
NOISE_EV = 0.003


@pytest.fixture(scope="module")
def emulator() -> Emulator:
    return train(CONFIG, designs=96, replicas=REPLICAS)


def truth(emulator: Emulator, seed: int) -> tuple[np.ndarray, Measured]:
    """Draw parameters from the prior, simulate with fresh seeds, add an offset and noise."""
    rng = np.random.default_rng(seed)
    low, high = emulator.prior.limits
    parameters = low + rng.random(3) * (high - low)
    seconds = DURATION_S / CONFIG.steps * 10 ** rng.uniform(0, np.log10(SLOWEST))
    curve = simulated_curve(CONFIG, parameters, REPLICAS, 50_000 + seed)
    time_s = np.linspace(2, DURATION_S, 60)
    energy = np.interp(time_s / seconds / CONFIG.steps, GRID, curve)
    energy = energy + rng.normal(0, 0.03) + rng.normal(0, NOISE_EV, time_s.size)
    return np.append(parameters, np.log10(seconds)), Measured(time_s, energy, NOISE_EV, model_sd=0.0)


def covered(emulator: Emulator, number: int, first: int = 0) -> np.ndarray:
    """Which of the four 90 % intervals hold their truth, (number, 4)."""
    rows = []
    for seed in range(first, first + number):
        parameters, measured = truth(emulator, seed)
        low, high = compare(measured, CONFIG, emulator=emulator, seed=seed, null_draws=20).interval(0.9).T
        rows.append((low <= parameters) & (parameters <= high))
    return np.array(rows)


def test_intervals_cover_synthetic_truths(emulator: Emulator) -> None:
    assert covered(emulator, 12).mean() > 0.75


TRUTHS = 400


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_calibrated_intervals_of_each_parameter_hold_ninety_percent_of_the_truths() -> None:
    """400 truths that neither training nor calibration has seen; 0.05 is three standard errors, 0.015 each."""
    stand_in = train(CONFIG, designs=256, replicas=REPLICAS)
    made = calibrated(stand_in, truth(stand_in, 0)[1])     # for these times and errors
    share = covered(made, TRUTHS, first=1000).mean(axis=0)
    assert share == pytest.approx(np.full(4, 0.90), abs=0.05)


def test_an_interval_is_as_wide_as_the_calibration_says(emulator: Emulator) -> None:
    measured = truth(emulator, 3)[1]
    plain = compare(measured, CONFIG, emulator=emulator, null_draws=5)
    np.testing.assert_allclose(plain.interval(0.9), np.quantile(plain.samples, [0.05, 0.95], axis=0).T)
    levels = np.linspace(0, 0.99, 99)[:, None] * np.ones(4)
    levels[:, 3] = 1.0                                             # truths beyond all samples
    wide = replace(plain, levels=levels)
    np.testing.assert_allclose(wide.interval(0.5)[0], np.quantile(plain.samples[:, 0], [0.2525, 0.7475]), rtol=0.01)
    np.testing.assert_array_equal(wide.interval(0.5)[3], plain.prior_limits[3])
    with pytest.raises(ValueError, match="between 0 and 1"):
        plain.interval(90)


@pytest.mark.slow
def test_calibration_puts_unseen_truths_all_over_their_posteriors() -> None:
    """With designs left out of the training, a level is roughly uniform between 0 and 1."""
    made = calibrated(train(CONFIG, designs=32, replicas=1), workers=2)
    assert made.levels.shape == (64, 4)
    assert np.all((made.levels >= 0) & (made.levels <= 1))
    assert np.all(np.abs(np.mean(made.levels < 0.5, axis=0) - 0.5) < 0.25)


@pytest.mark.slow
def test_training_and_calibration_can_be_stopped(emulator: Emulator) -> None:
    def stop(done: int, total: int) -> None:
        assert done == 1
        raise InterruptedError

    with pytest.raises(InterruptedError):
        train(CONFIG.replace(run__steps=2000), designs=64, progress=stop, workers=1)
    with pytest.raises(InterruptedError):
        calibrated(emulator, progress=stop)


def test_fast_iodide_with_escape_is_told_from_a_film_that_stays(emulator: Emulator) -> None:
    curve = simulated_curve(CONFIG, np.array([0.08, 0.25, 0.4]), 30, 7)
    assert curve[-1] > curve[0] + 0.05
    time_s = np.linspace(2, DURATION_S, 200)
    moved = Measured(time_s, np.interp(time_s / DURATION_S, GRID, curve), NOISE_EV, model_sd=0.0)
    result = compare(moved, CONFIG, emulator=emulator)
    difference = result.samples[:, 1] - result.samples[:, 0]
    assert np.mean(difference > 0) > 0.9                           # 0.17 eV in truth; 0.83 before the data
    assert result.p_value > 0.05
    np.testing.assert_allclose(result.median, moved.arrays()[1], atol=0.02)
    assert np.all(result.low <= result.high)
    assert result.time_s.size == 40


def test_a_refresh_takes_less_than_two_seconds(emulator: Emulator) -> None:
    _, measured = truth(emulator, 3)
    start = time.process_time()
    compare(measured, CONFIG, emulator=emulator)
    assert time.process_time() - start < 2.0 * 2                   # processor time of both cores' linear algebra


def test_a_curve_no_parameters_make_is_noticed(emulator: Emulator) -> None:
    """An energy that swings up and down is none the model knows."""
    time_s = np.linspace(2, DURATION_S, 60)
    swing = Measured(time_s, 2.35 + 0.06 * np.sin(time_s / 25), NOISE_EV)
    result = compare(swing, CONFIG, emulator=emulator)
    assert result.discrepancy > 3
    assert result.p_value < 0.02
    assert result.discrepancy > result.null.max()


def test_the_null_distribution_contains_the_models_own_curves(emulator: Emulator) -> None:
    values = [compare(truth(emulator, seed)[1], CONFIG, emulator=emulator, seed=seed).p_value for seed in range(3)]
    assert np.median(values) > 0.1


def test_a_bromide_share_is_compared_too(emulator: Emulator) -> None:
    curve = simulated_curve(CONFIG, np.array([0.08, 0.25, 0.4]), 20, 9)
    share = (curve - curve[0]) / (2.46 - curve[0])
    time_s = np.linspace(5, 1000, 50)
    measured = Measured(
        time_s, np.interp(time_s / 1000, GRID, share), 0.02, kind="bromide-share", model_sd=0.0
    )
    result = compare(measured, CONFIG, emulator=emulator)
    assert result.p_value > 0.05
    assert np.abs(result.median - measured.arrays()[1]).max() < 0.1


def test_the_result_names_its_parameters_and_errors(emulator: Emulator) -> None:
    result: Comparison = compare(truth(emulator, 1)[1], CONFIG, emulator=emulator, null_draws=20)
    assert NAMES == ("iodide_ev", "bromide_ev", "escape", "log10_seconds_per_step")
    assert result.covariance.shape == (4, 4)
    assert result.iodide_ev_se == pytest.approx(np.sqrt(result.covariance[0, 0]), rel=0.01)
    assert 0.05 < result.iodide_ev < 0.20
    assert 0.10 < result.bromide_ev < 0.30
    assert 0 < result.escape < 0.6
    assert DURATION_S / 150 <= result.seconds_per_step <= DURATION_S / 150 * SLOWEST
    again = compare(truth(emulator, 1)[1], CONFIG, emulator=emulator, null_draws=20)
    np.testing.assert_array_equal(result.samples, again.samples)


def test_the_package_offers_compare() -> None:
    assert kmc.compare is compare
    assert kmc.Measured is Measured


def test_the_exact_clock_can_be_emulated_too() -> None:
    config = KmcConfig.from_mapping({
        "lattice": {"size": 8}, "run": {"scheme": "exact", "time_s": 5e-9},
        "temperature": {"amplitude_k": 150.0, "waist_fraction": 0.3},
    })
    stand_in = train(config, Prior(iodide_ev=(0.08, 0.12)), designs=16, replicas=2)
    parameters = np.array([[0.10, 0.21, 0.0], [0.08, 0.21, 0.6]])
    curves = stand_in.curves(parameters)
    assert curves[1, -1] > curves[0, -1]
    scattered = stand_in.curves_like_simulated(parameters, np.random.default_rng(1))
    assert 0 < np.abs(scattered - curves).max() < 0.2
    assert 0 < stand_in.left_out_rms_ev < 0.05
    measured = Measured(np.linspace(1, 100, 20), np.interp(np.linspace(0.01, 1, 20), GRID, curves[1]), 0.003)
    assert compare(measured, config, emulator=stand_in, null_draws=50).p_value > 0.02


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        (Measured([1, 2, 3], [2.3, 2.3, 2.3], 0.01), "at least 5"),
        (Measured([1, 2, 3, 4, 4], [2.3] * 5, 0.01), "ascend"),
        (Measured([1, 2, 3, 4, 5], [2.3] * 5, 0.0), "positive"),
        (Measured([1, 2, 3, 4, 5], [2.3] * 4 + [np.nan], 0.01), "finite"),
        (Measured([1, 2, 3, 4, 5], [2.3] * 5, 0.01, kind="colour"), "peak-energy"),  # type: ignore[arg-type]
    ],
)
def test_unusable_series_are_refused(measured: Measured, words: str, emulator: Emulator) -> None:
    with pytest.raises(ValueError, match=words):
        compare(measured, CONFIG, emulator=emulator)


def test_impossible_priors_are_refused() -> None:
    with pytest.raises(ValueError, match="prior of escape"):
        Prior(escape=(0.5, 0.1))
    with pytest.raises(ValueError, match="at least 16"):
        train(CONFIG, designs=4)


def test_a_curve_beyond_the_model_is_taken_for_the_nearest_it_makes(emulator: Emulator) -> None:
    """Measured ever more exactly, a step that no film makes must not drive the posterior into a corner of the prior."""
    time_s = np.linspace(2, DURATION_S, 60)
    step = np.where(time_s < 100, 2.30, 2.42)
    widths = []
    for sigma in (1e-2, 1e-4):
        result = compare(Measured(time_s, step, sigma), CONFIG, emulator=emulator)
        widths.append(np.ptp(result.interval(0.9), axis=1) / np.ptp(result.prior_limits, axis=1))
    assert result.p_value < 0.02
    assert np.all(widths[1] > 0.3 * widths[0])


def test_what_the_model_leaves_open_is_part_of_the_errors() -> None:
    time_s, value = np.arange(80.0), np.linspace(2.3, 2.4, 80)
    np.testing.assert_allclose(Measured(time_s, value, 0.004).arrays()[2], np.hypot(0.004 / np.sqrt(2), 0.01))
    np.testing.assert_allclose(Measured(time_s, value, 0.004, model_sd=0.0).arrays()[2], 0.004 / np.sqrt(2))
