"""Log-normal sizes and the first exciton."""

import numpy as np
import pytest

from halidescope.analysis.absorption import first_exciton
from halidescope.analysis.sizes import fit_lognormal, fit_lognormal_histogram

SIGMA = np.sqrt(np.log(1 + (5.8 / 12.4) ** 2))
MEDIAN = 12.4 * np.exp(-(SIGMA**2) / 2)      # lengths of (12.4 ± 5.8) nm


def test_lists_and_histograms_cover_the_truth():
    rng = np.random.default_rng(1)
    edges = np.arange(0, 61, 2.0)
    pulls = []
    for _ in range(150):
        lengths = rng.lognormal(np.log(MEDIAN), SIGMA, 250)
        row = []
        for fit in (fit_lognormal(lengths), fit_lognormal_histogram(edges, np.histogram(lengths, edges)[0])):
            row += [
                (fit.median - MEDIAN) / fit.median_se,
                (fit.sigma_log - SIGMA) / fit.sigma_log_se,
                (fit.mean - 12.4) / fit.mean_se,
                (fit.deviation - 5.8) / fit.deviation_se,
            ]
        pulls.append(row)
    np.testing.assert_allclose(np.std(pulls, axis=0), 1.0, atol=0.2)
    np.testing.assert_allclose(np.mean(pulls, axis=0), 0.0, atol=0.4)


def test_the_density_integrates_to_one():
    fit = fit_lognormal(np.random.default_rng(2).lognormal(2.5, 0.4, 50))
    x = np.linspace(0.01, 200, 200_001)
    assert np.trapezoid(fit.density(x), x) == pytest.approx(1.0, abs=1e-6)
    assert np.trapezoid(x * fit.density(x), x) == pytest.approx(fit.mean, rel=1e-5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fit_lognormal([1, 2]), "2 lengths"),
        (lambda: fit_lognormal([1, 2, -3]), "finite and positive"),
        (lambda: fit_lognormal_histogram([1, 2, 3], [1, 2, 3]), "one more edge"),
        (lambda: fit_lognormal_histogram([1, 3, 2, 4], [1, 2, 3]), "must rise"),
        (lambda: fit_lognormal_histogram([1, 2, 3, 4], [1, 2, 0]), "three bins"),
        (lambda: first_exciton([1, 2], [1]), "two equal lists"),
        (lambda: first_exciton(np.linspace(2, 3, 50), np.ones(50), window_ev=0.01), "at least 7"),
    ],
)
def test_nonsense_is_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def absorbance(energy):
    step = 1 / (1 + np.exp(-(energy - 2.45) / 0.05))
    return 0.4 * np.exp(-0.5 * ((energy - 2.30) / 0.04) ** 2) + 0.6 * step


def test_the_first_exciton_is_found_within_its_error():
    energy = np.linspace(1.9, 2.9, 800)
    clean = first_exciton(energy, absorbance(energy))
    assert clean.energy_ev == pytest.approx(2.30, abs=0.003)
    rng = np.random.default_rng(3)
    found = [first_exciton(energy, absorbance(energy) + rng.normal(0, 0.002, 800)) for _ in range(150)]
    pull = np.array([(f.energy_ev - clean.energy_ev) / f.energy_ev_se for f in found])
    assert pull.std() == pytest.approx(1.0, abs=0.3)
    assert min(f.significance for f in found) > 10
    with pytest.raises(ValueError, match="nothing to search"):
        first_exciton(energy, absorbance(energy), between_ev=(3.5, 4.0))


def test_the_exciton_of_a_coarse_wavelength_scan_has_the_error_that_it_shows():
    """Points a nanometre apart are fewer than the even energies that they are put on."""
    energies = 1239.84198 / np.arange(400.0, 800.0, 1.0)
    clean = 0.08 * np.exp(-0.5 * ((energies - 2.3) / 0.035) ** 2)
    rng = np.random.default_rng(9)
    found = [
        first_exciton(energies, clean + rng.normal(0, 2e-4, energies.size), between_ev=(2.1, 2.5)) for _ in range(80)
    ]
    pulls = np.array([(one.energy_ev - 2.3) / one.energy_ev_se for one in found])
    assert pulls.std() == pytest.approx(1.0, abs=0.25)
    assert abs(pulls.mean()) < 0.6


@pytest.mark.parametrize(("points", "noise", "window_ev"), [(301, 2e-4, 0.08), (301, 2e-5, 0.08), (301, 2e-4, 0.12)])
def test_the_exciton_between_two_points_of_a_grid_has_the_error_that_it_shows(points, noise, window_ev):
    """The lowest point jumps from one to the other; a parabola around it jumped as well, by three errors."""
    energy = np.linspace(1.6, 2.8, points)      # 4 meV apart, with 2.17 eV midway
    rng = np.random.default_rng(5)
    clean = 0.08 * np.exp(-0.5 * ((energy - 2.17) / 0.035) ** 2)
    found = [first_exciton(energy, clean + rng.normal(0, noise, points), window_ev=window_ev) for _ in range(150)]
    pulls = np.array([(one.energy_ev - 2.17) / one.energy_ev_se for one in found])
    assert pulls.std() == pytest.approx(1.0, abs=0.2)
    assert abs(pulls.mean()) < 0.4


def test_an_exciton_at_the_edge_of_the_search_has_no_error():
    energy = np.linspace(1.6, 2.8, 601)
    found = first_exciton(energy, 0.08 * np.exp(-0.5 * ((energy - 2.17) / 0.035) ** 2), between_ev=(1.7, 2.1))
    assert np.isnan(found.energy_ev_se)
