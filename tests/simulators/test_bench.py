"""Light path, detector and world on a clock turned by hand."""

import numpy as np
import pytest

from halidescope.simulators.bench import Bench
from halidescope.simulators.detector import Detector
from halidescope.simulators.film import film_law
from halidescope.simulators.optics import Optics

PRISTINE_NM = 590.0


def spectrum(bench: Bench, head_mw: float, exposure_s: float) -> np.ndarray:
    bench.shine(head_mw)
    exposure = bench.expose(exposure_s)
    bench.clock.time_s += exposure_s
    counts = bench.read_out(exposure)
    bench.shine(0.0)
    return counts


def test_brightness_of_the_pristine_film(bench: Bench) -> None:
    counts = spectrum(bench, 30.0, 0.2)     # 120 µW
    peak = counts.max() - 1000.0
    assert peak == pytest.approx(25_000, rel=0.03)
    assert bench.detector.wavelength_nm[counts.argmax()] == pytest.approx(PRISTINE_NM, abs=4.0)
    assert counts[:200].mean() == pytest.approx(1000.0, abs=2.0)


def test_emission_is_linear_in_power_and_exposure(make_bench) -> None:
    sums = {}
    for head_mw, exposure_s in ((0.5, 0.2), (1.25, 0.2), (1.25, 0.8), (2.5, 0.4)):
        counts = spectrum(make_bench(0.0), head_mw, exposure_s).astype(float) - 1000.0
        sums[head_mw * exposure_s] = counts.sum()
    energies = np.array(sorted(sums))
    totals = np.array([sums[energy] for energy in energies])
    assert totals / energies == pytest.approx(np.full(len(energies), totals[-1] / energies[-1]), rel=0.02)


def test_the_dark_shows_offset_and_read_noise_only(bench: Bench) -> None:
    exposure = bench.expose(1.0)
    bench.clock.time_s += 1.0
    counts = bench.read_out(exposure).astype(float)
    assert counts.mean() == pytest.approx(1000.0, abs=0.5)
    assert counts.std() == pytest.approx(4.0, rel=0.1)


def test_shot_noise_has_poisson_variance() -> None:
    detector, random = Detector(), np.random.default_rng(11)
    mean = np.full(detector.pixels, 5000.0)
    readings = np.stack(
        [detector.counts(detector.read_noise(random), random.poisson(mean)) for _ in range(20)]
    ).astype(float)
    assert readings.mean() == pytest.approx(6000.0, abs=2.0)
    assert readings.var(ddof=1) == pytest.approx(5000.0 + 16.0, rel=0.03)


def test_saturation_stops_at_full_scale(bench: Bench) -> None:
    counts = spectrum(bench, 100.0, 2.0)
    assert counts.dtype == np.uint16
    assert counts.max() == 65535
    assert np.count_nonzero(counts == 65535) > 50


def test_two_spectra_of_an_inert_film_differ_by_noise_only(make_bench) -> None:
    bench = make_bench(3.0)
    first, second = (spectrum(bench, 10.0, 0.2).astype(float) for _ in range(2))
    assert not np.array_equal(first, second)
    variance = (first + second) / 2 - 1000.0 + 16.0
    score = (first - second) / np.sqrt(2 * np.maximum(variance, 16.0))
    assert score.mean() == pytest.approx(0.0, abs=0.1)
    assert score.std() == pytest.approx(1.0, abs=0.08)


def test_phases_have_equal_yields() -> None:
    wavelength = np.linspace(350, 800, 4501)
    pristine, converted = Optics().bands(wavelength, film_law(1.5))
    assert pristine.sum() == pytest.approx(converted.sum(), rel=1e-3)
    assert wavelength[converted.argmax()] == pytest.approx(513.0, abs=1.0)


def test_wavelength_axis_is_ascending_and_cubic() -> None:
    axis = Detector().wavelength_nm
    assert len(axis) == 2068
    assert np.all(np.diff(axis) > 0)
    assert axis[0] == pytest.approx(350.0)
    assert 790.0 < axis[-1] < 810.0


def test_only_light_within_the_exposure_counts(bench: Bench) -> None:
    clock = bench.clock
    exposure = bench.expose(0.2)
    clock.time_s += 0.1
    bench.shine(10.0)
    clock.time_s += 0.05
    bench.shine(0.0)
    clock.time_s += 5.0
    bench.read_out(exposure)
    total = sum(light.sum() for light in exposure.light_uw_s.values())
    assert total == pytest.approx(40.0 * 0.05, rel=1e-9)


def test_a_late_read_out_changes_nothing(make_bench) -> None:
    prompt, late = make_bench(seed=1), make_bench(seed=1)
    kept = []
    for bench, delay in ((prompt, 0.0), (late, 3.7)):
        bench.shine(30.0)
        exposure = bench.expose(0.2)
        bench.clock.time_s += 0.2 + delay
        bench.read_out(exposure)
        kept.append(exposure.light_uw_s[bench.film.law])
    assert kept[0] == pytest.approx(kept[1], rel=1e-12)


def test_an_exposure_worked_out_in_parts_has_the_noise_of_a_whole_one(make_bench) -> None:
    bench = make_bench(3.0)     # this film does not change
    bench.shine(30.0)
    spectra = []
    for _ in range(40):
        exposure = bench.expose(0.02)
        for _ in range(4):
            bench.clock.time_s += 0.005
            bench.develop(exposure)
        spectra.append(bench.read_out(exposure).astype(float))
    whole = spectrum(bench, 30.0, 0.02).astype(float)
    mean, variance = np.mean(spectra, axis=0), np.var(spectra, axis=0, ddof=1)
    bright = mean > 1500.0
    assert bright.sum() > 50
    assert mean[bright].sum() == pytest.approx(whole[bright].sum(), rel=0.005)
    assert (variance[bright] / (mean[bright] - 1000.0 + 16.0)).mean() == pytest.approx(1.0, abs=0.1)


def test_the_film_is_the_same_however_often_somebody_looks(make_bench) -> None:
    rarely, often = make_bench(), make_bench()
    for bench in (rarely, often):
        bench.shine(30.0)
    for _ in range(400):
        often.clock.time_s += 0.25
        often.advance()
    rarely.advance()
    assert often.clock is rarely.clock
    for place in ((100.0, 100.0), (104.2, 98.7)):
        assert rarely.film.at(*place).share_converted == pytest.approx(often.film.at(*place).share_converted, rel=1e-9)
        assert rarely.film.at(*place).dose_j_cm2 == pytest.approx(often.film.at(*place).dose_j_cm2, rel=1e-9)


def test_a_moving_stage_spreads_the_dose_along_its_way(bench: Bench) -> None:
    bench.shine(30.0)
    axis = bench.axes["1"]
    axis.change_velocity(100.0, bench.advance())
    axis.move(120.0, bench.advance())
    bench.clock.time_s += 0.2 + 1.0
    bench.advance()
    bench.shine(0.0)
    # passing with velocity v deposits 2P/(π w0²) · w0 sqrt(π/2) / v on the line
    passing = 2 * 120e-6 / (np.pi * 1e-8) * np.sqrt(np.pi / 2) / 100.0
    assert bench.film.at(110.0, 100.0).dose_j_cm2 == pytest.approx(passing, rel=0.02)
    assert bench.film.at(110.0, 103.0).dose_j_cm2 < 1e-4 * passing


def test_the_axis_settles_and_says_so_only_then(bench: Bench) -> None:
    axis, clock = bench.axes["1"], bench.clock
    axis.move(104.0, clock.time_s)
    start = clock.time_s
    while not axis.on_target(clock.time_s):
        clock.time_s += 1e-4
        assert clock.time_s < start + 0.1
    assert 0.005 < clock.time_s - start < 0.025
    assert abs(axis.position_um(clock.time_s) - 104.0) <= axis.window_um
    inside_since = clock.time_s - axis.settling_s
    assert abs(axis.position_um(inside_since) - 104.0) <= axis.window_um * 1.01
    assert abs(axis.position_um(inside_since - 0.001) - 104.0) > axis.window_um


def test_a_stalled_axis_stays_and_goes_on_when_free(bench: Bench) -> None:
    axis, clock = bench.axes["2"], bench.clock
    axis.move(150.0, clock.time_s)
    clock.time_s += 0.004
    axis.stall(True, clock.time_s)
    stuck = axis.position_um(clock.time_s)
    clock.time_s += 5.0
    assert axis.position_um(clock.time_s) == stuck
    assert 100.0 < stuck < 150.0
    assert not axis.on_target(clock.time_s)
    axis.stall(False, clock.time_s)
    clock.time_s += 1.0
    assert axis.position_um(clock.time_s) == pytest.approx(150.0, abs=1e-3)
    assert axis.on_target(clock.time_s)
