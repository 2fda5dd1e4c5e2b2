"""The demo: a simulated microscope measures, analyses and reports, through the same doors as a real one.

Only here (and in ``halidescope simulate``) are simulators started. The analysis is in
:mod:`halidescope.acquisition.batch`, the page in :mod:`halidescope.gui.demo_report`.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from types import FrameType

import typer

from halidescope.acquisition.client import EngineClient
from halidescope.acquisition.problems import ProblemError, RefusedRunError, RunEndedError
from halidescope.acquisition.recipes import AnyRecipe, parse_recipe
from halidescope.acquisition.states import RunState, Status
from halidescope.gui.demo_kmc import trained_in_the_back
from halidescope.gui.demo_report import Truth, write_results
from halidescope.gui.simulated import SimulatorProcess
from halidescope.gui.terminal import StatusBar

BR_RICH, I_RICH = 0.0, 3.0
SPOT_UM = (100.0, 100.0)
EXPOSURE_POWER_UW = {2.0: 300.0}
EXPOSURE_DURATION_S = {2.0: 100.0}
POLL_S = 0.1


def default_folder() -> Path:
    """A folder that does not exist yet, named by date and time."""
    return Path(f"halidescope-demo-{datetime.now():%Y%m%d-%H%M%S}")


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


class Demo:
    """One run of the demo.

    Parameters
    ----------
    folder : Path
        Where files and report go; must not hold a demo already.
    speed : float
        Microscope seconds per second.
    film : float
        Composition x of the film.
    """

    def __init__(self, folder: Path, *, speed: float = 60.0, film: float = 1.5) -> None:
        self.folder = folder.absolute()
        self.speed = speed
        self.film = film
        self.report = self.folder / "report.html"
        self.summary = self.folder / "summary.json"
        self.session = self.folder / "session.json"
        self._closed = threading.Event()  # nobody looks on any more
        self.power_uw = EXPOSURE_POWER_UW.get(film, 120.0)

    def run_headless(self) -> None:
        """Measure, analyse and report, with a progress bar on a terminal."""
        with StatusBar() as bar, self._microscope() as (simulator, engine):
            self.perform(simulator, engine, bar.show)

    def run_in_window(self) -> None:
        """The same with the main window looking on; closing the window ends the demo."""
        from halidescope.gui.app import run_window

        with self._microscope() as (simulator, engine):
            failure: list[ProblemError] = []

            def measure() -> None:
                try:
                    self.perform(simulator, engine, lambda status: None)
                    typer.echo("the demo is finished; close the window to leave")
                except ProblemError as error:  # said when the window is closed
                    failure.append(error)

            worker = threading.Thread(target=measure, name="demo")
            worker.start()
            run_window(session=self.session)
            self._closed.set()
            worker.join()
            if failure:
                raise failure[0]

    @contextmanager
    def _microscope(self) -> Iterator[tuple[SimulatorProcess, EngineClient]]:
        taken = [name for name in ("time-series.nxs", "map.nxs", "summary.json") if (self.folder / name).exists()]
        if taken:
            raise RefusedRunError(f"folder {self.folder}: holds {taken[0]} already; choose another with --out")
        (self.folder / "references").mkdir(parents=True, exist_ok=True)
        signal.signal(signal.SIGTERM, _leave)  # ended from outside: simulators and engine must not stay behind
        microscope_file = self.folder / "microscope.toml"
        with SimulatorProcess(microscope_file, speed=self.speed, film=self.film) as simulator:
            engine = EngineClient.launch(microscope_file, session=self.session, bound=True)
            try:
                yield simulator, engine
            finally:
                engine.quit()

    def perform(self, simulator: SimulatorProcess, engine: EngineClient, show: Callable[[Status], None]) -> None:
        """References, time series, map; then analysis, comparison with the simulation, and report."""
        # the phase that can grow; the reference films themselves are inert and are held against the other one
        grown, label = (I_RICH, "I-rich") if self.film in (2.0, BR_RICH) else (BR_RICH, "Br-rich")
        grown_file = self.folder / "references" / f"{label.lower()}.nxs"
        pristine_file = self.folder / "references" / "pristine.nxs"
        series_file, map_file = self.folder / "time-series.nxs", self.folder / "map.nxs"
        analysis: dict[str, object] = {
            "references": [str(pristine_file), str(grown_file)],
            "labels": ["pristine", label],
        }
        with trained_in_the_back(self.film) if grown == BR_RICH else nullcontext(bool) as trained:
            simulator.ask({"mount": grown})
            self._measure(engine, self._reference_film(grown, label), grown_file, show)
            simulator.ask({"mount": self.film})
            self._measure(engine, self._pristine_film(), pristine_file, show)
            self._measure(engine, self._time_series(analysis), series_file, show)
            truth = self._truth(simulator)
            self._measure(engine, self._map(analysis), map_file, show)
            trained()

        write_results(
            self.folder,
            series_file=series_file,
            map_file=map_file,
            references=(pristine_file, grown_file),
            labels=("pristine", label),
            truth=truth,
        )

    def _measure(self, engine: EngineClient, recipe: AnyRecipe, out: Path, show: Callable[[Status], None]) -> None:
        if self._closed.is_set():
            raise RunEndedError(
                f"{recipe.title}: not begun, the window was closed; finished files are in {self.folder}"
            )
        before = engine.status().run
        engine.start(recipe.model_dump(mode="json"), str(out))
        while True:
            status = engine.status()
            if status.run > before:
                show(status)
                if status.state.ended:
                    break
            if self._closed.wait(POLL_S) and status.state.busy:
                with suppress(ProblemError):  # it has ended by itself meanwhile
                    engine.abort()
        if status.state is not RunState.FINISHED:
            raise RunEndedError(
                f"{status.measurement}: {status.state} ({status.reason}); what was measured is in {out}"
            )

    def _reference_film(self, composition: float, label: str) -> AnyRecipe:
        return parse_recipe(
            {
                "kind": "time-series",
                "sample_power_uw": 60.0,
                "exposure_s": 0.2,
                "duration_s": 20.0,
                "position_um": SPOT_UM,
                "dark_spectra": 50,
                "sample": {"name": f"{label} reference film", "composition": composition},
            }
        )

    def _pristine_film(self) -> AnyRecipe:
        """Fresh spots in a corner under so weak a probe that it changes nothing."""
        return parse_recipe(
            {
                "kind": "raster-map",
                "sample_power_uw": 1.0,
                "exposure_s": 2.0,
                "origin_um": (150.0, 150.0),
                "size_um": (40.0, 40.0),
                "step_um": 10.0,
                "dark_spectra": 50,
                "sample": self._sample(),
            }
        )

    def _time_series(self, analysis: dict[str, object]) -> AnyRecipe:
        return parse_recipe(
            {
                "kind": "time-series",
                "sample_power_uw": self.power_uw,
                "exposure_s": 0.2,
                "interval_s": 0.5,
                "duration_s": EXPOSURE_DURATION_S.get(self.film, 500.0),
                "position_um": SPOT_UM,
                "dark_spectra": 50,
                "sample": self._sample(),
                "analysis": analysis,
            }
        )

    def _map(self, analysis: dict[str, object]) -> AnyRecipe:
        return parse_recipe(
            {
                "kind": "raster-map",
                "sample_power_uw": 5.0,
                "exposure_s": 0.2,
                "size_um": (200.0, 200.0),
                "step_um": 4.0,
                "dark_spectra": 50,
                "sample": self._sample(),
                "analysis": analysis,
            }
        )

    def _sample(self) -> dict[str, object]:
        return {"name": f"simulated film x = {self.film:g}", "composition": self.film, "notes": "simulated"}

    def _truth(self, simulator: SimulatorProcess) -> Truth:
        x_um, y_um = SPOT_UM
        state = simulator.ask({"get": "film.state", "x": x_um, "y": y_um})
        law = simulator.ask({"get": "film.law", "power_uw": self.power_uw})
        return Truth.from_simulator(state, law)
