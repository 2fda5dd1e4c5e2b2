"""The window under load: ``python tests/benchmarks/bench_window.py [live|long|dark]``.

``live``: simulated instruments, engine, watchdog, analyst in processes of their own, at real speed; a 2068-channel
spectrum every 10 ms for 60 s, while live spectrum, colour map of the run and a 201 × 201 map are painted; says
how regular the window's heartbeat is, how old data are when painted, how late and how many exposures were.
``long``: 100,000 spectra (8 h at one every 0.3 s) through the same views; the time of a poll's work at the beginning
and at the end, and the memory.
``dark``: 60 presses of *Dark now* or Esc, from the event to the dark at the simulated laser, while a colour map and a
201 × 201 map are painted 30 times a second and a saved map is read again and again.
"""

import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QT_API", "pyside6")

import numpy as np
from qtpy.QtCore import QEvent, QObject, QSettings, Qt, QTimer

from halidescope.acquisition.recipes import RasterMap, Sample, TimeSeries
from halidescope.acquisition.results import OnlineResults
from halidescope.acquisition.states import RunState
from halidescope.acquisition.storage import open_scan
from halidescope.gui.app import give_way, make_application, settle
from halidescope.gui.map_grid import Grid
from halidescope.gui.run_data import RunData
from halidescope.gui.simulated import SimulatorProcess
from halidescope.gui.window import MainWindow

HEARTBEAT_MS = 5
DURATION_S = 60.0
INTERVAL_S = 0.010
CHANNELS = 2068
LONG = 100_000


@dataclass(frozen=True)
class Taken:
    """One synthetic spectrum, as the ring gives them."""

    sequence: int
    index: int
    time_s: float
    counts: np.ndarray
    run: int = 1
    x_um: float = 100.0
    y_um: float = 100.0
    sample_power_uw: float = 120.0
    exposure_s: float = 0.2
    dose_j_cm2: float = 1.0
    dark_level: float = 100.0
    saturated: bool = False


def synthetic_map(wavelength_nm: np.ndarray) -> RunData:
    """A map of 201 × 201 pixels with everything that the views show of one; its spectra are not held."""
    data = RunData()
    data.set_axis(wavelength_nm)
    data.grid = Grid.of(RasterMap(sample_power_uw=5.0, step_um=1.0))
    ny, nx = data.grid.shape
    x, y = np.meshgrid(data.grid.x_um, data.grid.y_um)
    share = 0.6 * np.exp(-((x - 100) ** 2 + (y - 100) ** 2) / 30.0**2).ravel()
    rows = ny * nx
    data._points.resize(rows)
    data._points.values[:] = np.stack(
        [x.ravel(), y.ravel(), np.arange(rows) * 0.22, 1e6 * (1 - 0.5 * share), np.full(rows, 3e3)], axis=1
    )
    data.add_results(OnlineResults(
        kind="raster-map", labels=("pristine", "Br-rich"), count=rows, index=list(range(rows)),
        time_s=data._points.values[:, 2].tolist(), amplitudes=np.stack([1 - share, share], axis=1).tolist(),
        shares=np.stack([1 - share, share], axis=1).tolist(), shares_se=np.full((rows, 2), 0.01).tolist(),
        residual_rms=np.full(rows, 4.0).tolist(),
    ))
    return data


class Watch(QObject):
    """Heartbeat of the window's thread, polls of the ring, and paints of the live plot."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.beats: list[float] = []
        self.polls: list[float] = []
        self.delays: list[float] = []
        self.paints = 0
        self._waits: float | None = None
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(HEARTBEAT_MS)
        self._timer.timeout.connect(lambda: self.beats.append(time.perf_counter()))
        window.feed.spectra.connect(self._came)
        window.views.live.view.plot.viewport().installEventFilter(self)

    def start(self) -> None:
        """Forget what was before."""
        self.beats, self.polls, self.delays, self.paints = [], [], [], 0
        self._timer.start()

    def _came(self, spectra: list[object]) -> None:
        now = time.perf_counter()
        self.polls.append(now)
        if self._waits is None:
            self._waits = now

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        if event.type() == QEvent.Type.Paint:
            self.paints += 1
            if self._waits is not None:
                self.delays.append(time.perf_counter() - self._waits)
                self._waits = None
        return False


def wait(condition: object, seconds: float) -> None:
    """Let events be until something is true; leaves with an error after some seconds."""
    assert callable(condition)
    from qtpy.QtTest import QTest

    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("the benchmark did not get on: is the machine idle?")
        QTest.qWait(20)


def say(name: str, values: np.ndarray, unit: str = "ms", factor: float = 1e3) -> None:
    """Median, p99 and greatest of some times."""
    scaled = factor * np.asarray(values)
    print(f"{name:<44} median {np.median(scaled):8.2f}  p99 {np.percentile(scaled, 99):8.2f}  "  # noqa: T201
          f"greatest {scaled.max():8.2f} {unit}")


@contextmanager
def microscope() -> Iterator[tuple[SimulatorProcess, MainWindow]]:
    """A window on simulated instruments at real speed, series and map beside one another."""
    application = make_application()
    with tempfile.TemporaryDirectory(prefix="halidescope-bench-") as name:
        folder = Path(name)
        settings = QSettings(str(folder / "settings.ini"), QSettings.Format.IniFormat)
        settings.setValue("folder", str(folder))
        with SimulatorProcess(folder / "microscope.toml", speed=1.0, film=1.5) as simulator:
            window = MainWindow(settings)
            window.feed.opened.connect(lambda _: give_way())
            window.resize(1600, 1000)
            window.show()
            window.views.live.get_ready(settle)
            window.open_microscope(simulator.microscope_file, folder / "session.json")
            wait(lambda: window.status is not None and window.status.connected, 60)
            window.splitDockWidget(window.docking["Series"], window.docking["Map"], Qt.Orientation.Horizontal)
            window.docking["Map"].show()
            yield simulator, window
            window.close()
            wait(lambda: not window.feed.connected, 30)
            application.processEvents()


def live() -> None:
    """A spectrum every 10 ms."""
    with microscope() as (_, window):
        picture = synthetic_map(np.asarray(window.views.data.wavelength_nm))
        window.views.map.set_phases(picture.labels, picture)
        window.views.map.set_grid(picture)
        repaint = QTimer(window)
        repaint.setInterval(150)
        repaint.timeout.connect(lambda: window.views.map.show_map(picture))
        repaint.start()
        watch = Watch(window)
        window.measure.set_recipe(TimeSeries(
            sample_power_uw=120.0, exposure_s=0.006, interval_s=INTERVAL_S, duration_s=DURATION_S,
            sample=Sample(composition=1.5),
        ))
        window.propose_file()
        wait(window.measure.start_button.isEnabled, 20)
        out = Path(window.measure.file.text())
        window.measure.start_button.click()
        wait(lambda: window.views.data.seen > 300, 60)       # what is loaded once is loaded
        assert window.views.series.isVisible()
        assert window.views.map.isVisible()
        watch.start()
        began, seen = time.perf_counter(), window.views.data.seen
        wait(lambda: window.status is not None and window.status.state.ended, DURATION_S + 60)
        lasted, came = time.perf_counter() - began, window.views.data.seen - seen
        if window.status.state is not RunState.FINISHED:
            raise SystemExit(f"not finished: {window.status.reason}")
        beats, polls = np.diff(watch.beats), np.diff(watch.polls)
        say(f"heartbeat of {HEARTBEAT_MS} ms", beats)
        print(f"{'heartbeats later than 50 ms':<44} {int((beats > 0.05).sum())} of {len(beats)}")  # noqa: T201
        say("between two polls of the ring", polls)
        say("from poll to paint of the live spectrum", np.array(watch.delays))
        print(f"{'paints of the live spectrum':<44} {watch.paints / lasted:.1f} per second")  # noqa: T201
        print(f"{'spectra shown':<44} {came / lasted:.1f} per second")  # noqa: T201
        with open_scan(out) as scan:
            late = scan.time_s - 0.5 * scan.exposure_s - scan.axes["time"]
            say("exposures later than planned", late[scan.valid])
            print(f"{'spectra missing':<44} {int((~scan.valid).sum())} of {scan.valid.size}")  # noqa: T201
        repaint.stop()
        wait(lambda: window.feed.connected, 5)


PRESSES = 60


def dark() -> None:
    """From the press to the dark at the laser."""
    from qtpy.QtGui import QGuiApplication
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QFileDialog

    with microscope() as (simulator, window):
        window.measure.set_recipe(RasterMap(
            sample_power_uw=5.0, exposure_s=0.006, size_um=(60.0, 60.0), step_um=2.0, dark_spectra=3,
            sample=Sample(composition=1.5),
        ))
        window.propose_file()
        wait(window.measure.start_button.isEnabled, 20)
        saved = Path(window.measure.file.text())
        window.measure.start_button.click()
        wait(lambda: window.status is not None and window.status.state is RunState.FINISHED, 120)
        picture = synthetic_map(np.asarray(window.views.data.wavelength_nm))
        window.views.map.set_phases(picture.labels, picture)
        window.views.map.set_grid(picture)
        stack = np.random.default_rng(1).normal(size=(500, CHANNELS // 4)).astype(np.float32)

        def paint() -> None:
            window.views.map.show_map(picture)
            window.views.series.bar.show(stack, "counts", -3.0, 3.0)

        repaint = QTimer(window)
        repaint.setInterval(33)
        repaint.timeout.connect(paint)
        repaint.start()
        reading = QTimer(window)
        reading.setInterval(300)
        reading.timeout.connect(lambda: window.views.compare_with(saved))
        reading.start()
        hands = window.instruments.laser
        hands.longest.set_value(86_400.0)
        hands.cap.set_value(1e9)
        button = window.strip.dark_button
        place = button.mapTo(window, button.rect().center())
        took: dict[str, list[float]] = {"button": [], "Esc twice": [], "Esc twice, a dialog open": []}
        for k in range(PRESSES):
            way = list(took)[k % 3]
            wait(hands.light.isEnabled, 20)
            hands.light.click()
            wait(lambda: simulator.ask({"get": "laser.emission"}) is True, 20)
            if "dialog" in way:
                window.choose_scan()
                dialog = window.findChildren(QFileDialog)[-1]
                wait(lambda dialog=dialog: QGuiApplication.focusWindow() is dialog.windowHandle(), 5)
            seen = Darkness(simulator)
            if way == "button":
                seen.since = time.perf_counter()
                QTest.mousePress(window.windowHandle(), Qt.MouseButton.LeftButton, pos=place)
                QTest.mouseRelease(window.windowHandle(), Qt.MouseButton.LeftButton, pos=place)
            else:
                QTest.keyClick(QGuiApplication.focusWindow(), Qt.Key.Key_Escape)
                window.activateWindow()
                wait(lambda: QGuiApplication.focusWindow() is window.windowHandle(), 5)
                QTest.qWait(50)
                seen.since = time.perf_counter()
                QTest.keyClick(window.windowHandle(), Qt.Key.Key_Escape)
            wait(lambda seen=seen: not seen.is_alive(), 20)
            took[way].append(seen.at - seen.since)
        for way, times in took.items():
            say(f"{way}: {len(times)} presses", np.array(times))
        say("all, from the press to dark at the laser", np.concatenate([np.array(one) for one in took.values()]))
        repaint.stop()
        reading.stop()


class Darkness(threading.Thread):
    """Asks the simulated laser until it is dark; the moment of the first such answer is ``at``."""

    def __init__(self, simulator: SimulatorProcess) -> None:
        super().__init__(daemon=True)
        self._simulator = simulator
        self.since = self.at = 0.0
        self.start()

    def run(self) -> None:
        """Ask, ask again."""
        while self._simulator.ask({"get": "laser.emission"}) is True:
            time.sleep(0.0005)
        self.at = time.perf_counter()


def long() -> None:
    """100,000 spectra through the views."""
    application = make_application()
    rng = np.random.default_rng(1)
    wavelength = 351.0 + 0.290 * np.arange(CHANNELS)
    with tempfile.TemporaryDirectory(prefix="halidescope-bench-") as name:
        window = MainWindow(QSettings(f"{name}/settings.ini", QSettings.Format.IniFormat))
        window.resize(1600, 1000)
        window.show()
        views = window.views
        ready: list[bool] = []
        views.live.get_ready(lambda: (settle(), ready.append(True)))
        wait(lambda: ready, 60)         # as in a window that has been open for a moment
        views.begin("time-series")
        views.set_axis(wavelength)
        bands = np.exp(-0.5 * ((wavelength - np.array([[590.0], [513.0]])) / 10.0) ** 2)
        references = bands / bands.sum(axis=1, keepdims=True)
        stock = [rng.poisson(2e4 * (references.sum(axis=0)) + 100).astype(np.uint32) for _ in range(50)]
        costs, slow, memory = np.empty(LONG // 10), [], []
        for k in range(LONG // 10):
            first = 10 * k
            spectra = [Taken(n, n, 0.3 * n, stock[n % 50]) for n in range(first, first + 10)]
            share = 0.7 * (1 - np.exp(-first / 3e4))
            results = OnlineResults(
                kind="time-series", labels=("pristine", "Br-rich"), references=references.tolist() if k == 0 else [],
                count=first + 10, first=first, index=list(range(first, first + 10)),
                time_s=[0.3 * n for n in range(first, first + 10)], amplitudes=[[1e4, 1e4]] * 10,
                shares=[[1 - share, share]] * 10, shares_se=[[0.01, 0.01]] * 10, residual_rms=[4.0] * 10,
            )
            began = time.perf_counter()
            views.add_spectra(spectra)
            views.add_results(results)
            costs[k] = time.perf_counter() - began
            if k % 20 == 0:
                began = time.perf_counter()
                views._repaint()
                application.processEvents()
                slow.append(time.perf_counter() - began)
            if k in (LONG // 100, LONG // 10 - 1):
                memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        few = len(costs) // 20
        say("10 spectra and results, first 5 %", costs[few // 5 : few])
        say("10 spectra and results, last 5 %", costs[-few:])
        say("repaint of everything, first 5 %", np.array(slow[1 : len(slow) // 20]))
        say("repaint of everything, last 5 %", np.array(slow[-len(slow) // 20 :]))
        print(f"{'memory after 10 %, after all':<44} {memory[0]:.0f} MB, {memory[1]:.0f} MB")  # noqa: T201
        window._close_for_good()


if __name__ == "__main__":
    {"live": live, "long": long, "dark": dark}[sys.argv[1] if len(sys.argv) > 1 else "live"]()
