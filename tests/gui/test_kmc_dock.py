"""The simulation beside the measurement: what the view asks its process, shows and refuses; it stays in the back."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from played_engine import REFERENCES, WAVELENGTH_NM, PlayedEngine
from pytestqt.qtbot import QtBot

from halidescope.acquisition.priority import MOST_VARIABLE
from halidescope.acquisition.results import OnlineResults
from halidescope.acquisition.ring import RingSpectrum
from halidescope.analysis.kmc.config import PAPER
from halidescope.analysis.kmc.emission import centre_of_mass_ev
from halidescope.analysis.kmc.emulator import Prior, train
from halidescope.gui import kmc_cache
from halidescope.gui.kmc_dock import EMPTY, KmcPanel
from halidescope.gui.kmc_process import CACHE_VARIABLE, ComparisonProcess, News, Question
from halidescope.gui.kmc_question import composition_of, configuration_of, curve_of
from halidescope.gui.run_data import RunData
from halidescope.gui.window import MainWindow

X = 1.5


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds a small emulator of the played film: a whole training takes half a minute."""
    folder = tmp_path_factory.mktemp("emulators")
    kmc_cache.store(folder, train(PAPER.of_composition(X), designs=24, replicas=1))
    return folder


@pytest.fixture
def panel(qtbot: QtBot, cache: Path) -> Iterator[KmcPanel]:
    """A view on its own."""
    panel = KmcPanel()
    panel.process.close()
    panel.process = ComparisonProcess(panel._news.emit, cache)
    qtbot.addWidget(panel)
    panel.resize(900, 500)
    panel.show()
    panel.set_seen(True)
    yield panel
    panel.close_process()


def series(points: int, *, labels: tuple[str, str] = ("pristine", "Br-rich"), swap: bool = False) -> RunData:
    """Shares of a film whose second phase grows."""
    data = RunData()
    data.set_axis(WAVELENGTH_NM)
    time_s = np.arange(1, points + 1) * 5.0
    share = 0.7 * (1 - np.exp(-time_s / 150)) + np.random.default_rng(1).normal(0, 0.01, points)
    references = REFERENCES[::-1] if swap else REFERENCES
    data.add_results(OnlineResults(
        kind="time-series", labels=labels, references=references.tolist(), count=points, index=list(range(points)),
        time_s=time_s.tolist(), amplitudes=[[1e4 * (1 - s), 1e4 * s] for s in share],
        shares=[[1 - s, s] for s in share], shares_se=[[0.01, 0.01]] * points, residual_rms=[1.0] * points,
    ))
    return data


def test_an_empty_view_says_what_it_waits_for(panel: KmcPanel) -> None:
    assert panel.curve_plot.empty_words == EMPTY
    assert not panel.process.running


def test_the_window_compares_while_somebody_looks(
    followed: MainWindow, engine: PlayedEngine, cache: Path, qtbot: QtBot, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(cache))
    monkeypatch.setenv(MOST_VARIABLE, "1")       # it gives way, but not so far that a busy computer leaves it nothing
    engine.begin(str(tmp_path / "a.nxs"))
    engine.take(40)
    qtbot.waitUntil(lambda: followed.views.data.analysed == 40)
    assert not followed.kmc.process.running                        # the view is not open
    followed.docking["KMC"].raise_()
    qtbot.waitUntil(lambda: followed.kmc.answer is not None)
    first = followed.kmc.answer
    assert first is not None
    assert first.time_s[-1] == pytest.approx(39.0)
    pid = followed.kmc.process.pid
    assert pid is not None
    if os.name == "posix":
        assert os.getpriority(os.PRIO_PROCESS, pid) == 1
    engine.take(40)
    qtbot.waitUntil(lambda: followed.kmc.answer is not None and followed.kmc.answer.time_s[-1] > 70)
    times, energies = followed.kmc.measured.getData()
    assert len(times) == len(energies) == 40                       # 80 points, averaged
    assert energies[-1] - energies[0] > 0.1                        # half way from 2.16 to 2.46 eV
    assert "discrepancy" in followed.kmc.score.text()
    assert followed.kmc.above.image.image.shape == (20, 20)
    followed._close_for_good()

    def gone() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    qtbot.waitUntil(gone)


def test_the_view_shows_film_band_and_posterior(panel: KmcPanel, qtbot: QtBot) -> None:
    panel.refresh(series(80))
    qtbot.waitUntil(lambda: panel.answer is not None)
    answer = panel.answer
    assert answer is not None
    assert all(low <= high for low, high in zip(answer.low_ev, answer.high_ev, strict=True))
    for parameter in answer.parameters:
        assert parameter.prior_low <= parameter.low < parameter.high <= parameter.prior_high
        assert sum(parameter.counts) == 1000
        assert sum(panel.marginals[parameter.name].bars.opts["height"]) == 1000
    panel.layer.setValue(3)
    lattice = np.frombuffer(answer.lattice, np.int8).reshape(20, 20, 20)
    np.testing.assert_array_equal(panel.above.image.image, lattice[:, :, 3])
    np.testing.assert_array_equal(panel.side.image.image, lattice[:, 10, :])
    assert panel.layer_label.text() == "layer z = 3"
    np.testing.assert_array_equal(np.bincount(lattice.ravel(), minlength=3), answer.species)
    lost = answer.species_start[1] - answer.species[1]
    assert answer.species[2] - answer.species_start[2] == lost
    assert f"({lost} lost)" in panel.note.text()
    _, shares = panel.halo_iodide.getData()
    assert np.nanmax(shares) <= 100
    assert len(shares) == len(answer.halo_radius) >= 9
    panel.composition.setValue(1.4)                                # another film: a training begins
    qtbot.waitUntil(lambda: panel.progress.isVisible() and "simulating" in panel.progress.text())
    panel.composition.setValue(X)                                  # the training stops
    before = panel._asked
    qtbot.waitUntil(lambda: not panel._waiting and not panel.progress.isVisible())
    assert panel._asked == before
    panel.clear()
    assert panel.curve_plot.empty_words == EMPTY
    assert panel.above.image.image is None


def test_a_film_that_segregates_is_not_compared(panel: KmcPanel) -> None:
    panel.refresh(series(40, labels=("pristine", "I-rich"), swap=True))
    assert "I-rich" in panel.note.text()
    assert "segregation" in panel.note.text()
    assert not panel.process.running


def test_too_short_a_series_waits(panel: KmcPanel) -> None:
    panel.refresh(series(4))
    assert "at least 5" in panel.note.text()
    assert not panel.process.running


def spectra_of(data: RunData, share: np.ndarray) -> None:
    """Give a series its spectra, on a dark level of 100 counts that is known."""
    data.dark = np.full(WAVELENGTH_NM.size, 100.0)
    mixed = 2e6 * ((1 - share)[:, None] * REFERENCES[0] + share[:, None] * REFERENCES[1])
    counts = np.random.default_rng(2).poisson(mixed + 100.0)
    data.add([
        RingSpectrum(
            sequence=index, run=1, index=index, time_s=5.0 * (index + 1), x_um=0.0, y_um=0.0, sample_power_uw=120.0,
            exposure_s=0.2, dose_j_cm2=0.0, dark_level=100.0, saturated=False, counts=row.astype(np.uint32),
        )
        for index, row in enumerate(counts)
    ])


def test_the_energy_of_the_emission_is_its_centre_of_mass(panel: KmcPanel) -> None:
    data = series(60)
    panel.quantity.setCurrentIndex(panel.quantity.findData("peak-energy"))
    panel.refresh(data)
    assert "needs the dark spectrum" in panel.note.text()          # 100 counts in every channel would pull at it
    share = np.linspace(0, 0.7, 60)
    spectra_of(data, share)
    measured = curve_of(data, "peak-energy")
    pristine, grown = centre_of_mass_ev(WAVELENGTH_NM, REFERENCES)
    assert (pristine, grown) == (pytest.approx(2.103, abs=0.003), pytest.approx(2.418, abs=0.003))
    time_s, value, sigma = (np.asarray(one, dtype=float) for one in (measured.time_s, measured.value, measured.sigma))
    expected = np.interp(time_s, 5.0 * np.arange(1, 61), (1 - share) * pristine + share * grown)
    assert measured.kind == "peak-energy"
    np.testing.assert_allclose(value, expected, atol=6 * sigma[0])
    assert 1e-5 < sigma[0] < 2e-3
    assert np.std(value - expected) == pytest.approx(sigma[0], rel=0.6)


def test_the_composition_comes_from_the_pristine_emission() -> None:
    """590 nm is 2.101 eV, E_PL(1.5) 2.105 eV."""
    data = series(10)
    assert composition_of(data) == X
    lattice = configuration_of(X)["lattice"]
    assert lattice["iodide"] == pytest.approx(0.496)
    assert lattice["iodide"] + lattice["bromide"] + lattice["vacancy"] == pytest.approx(1.0)


def test_a_process_that_dies_is_said_and_started_again(cache: Path, qtbot: QtBot) -> None:
    heard: list[News] = []
    process = ComparisonProcess(heard.append, cache)
    data = series(20)
    time_s, shares, errors = data.shares_with_errors()
    question = Question(
        1, configuration_of(X), time_s.tolist(), shares[:, 1].tolist(), errors[:, 1].tolist(), "bromide-share"
    )
    process.ask(question)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: any("ended by itself" in news.problem for news in heard))
    process.ask(Question(2, {"lattice": {"siz": 3}}, [], [], []))
    qtbot.waitUntil(lambda: any("unknown key 'lattice.siz'" in news.problem for news in heard))
    process.ask(question)
    qtbot.waitUntil(lambda: any(news.answer is not None for news in heard))
    process.close()
    process.close()


def test_a_damaged_cache_is_no_cache(tmp_path: Path) -> None:
    config = PAPER.of_composition(X).replace(lattice__size=8, run__steps=20)
    made = train(config, designs=16, replicas=1)
    kmc_cache.store(tmp_path, made)
    again = kmc_cache.load(tmp_path, config, Prior())
    assert again is not None
    np.testing.assert_array_equal(again.table_ev, made.table_ev)
    assert kmc_cache.load(tmp_path, config.replace(run__steps=21), Prior()) is None
    path = kmc_cache.path_of(tmp_path, config, Prior())
    path.write_bytes(path.read_bytes()[:200])
    assert kmc_cache.load(tmp_path, config, Prior()) is None
