"""The five steps of the demo's guided tour, held against the main window."""

from typing import TYPE_CHECKING

from halidescope.acquisition.recipes import RasterMap, Sample, TimeSeries
from halidescope.acquisition.states import RunState, Status
from halidescope.gui.tour import Step, ran

if TYPE_CHECKING:
    from halidescope.gui.window import MainWindow

FILM = Sample(name="simulated film x = 1.5", composition=1.5, notes="simulated")
SERIES = TimeSeries(
    sample_power_uw=120.0, exposure_s=0.2, interval_s=1.0, duration_s=500.0, position_um=(100.0, 100.0), sample=FILM
)
# the halo of a shorter exposure is small: half the paper's field, so that it is done in some ten seconds
MAP = RasterMap(
    sample_power_uw=5.0, exposure_s=0.2, origin_um=(60.0, 60.0), size_um=(80.0, 80.0), step_um=4.0, sample=FILM
)
ENOUGH = 250    # spectra after which the change is plain to see, and half the series is left to be ended


def demo_steps(window: "MainWindow") -> tuple[Step, ...]:
    """Strip, start, watch, dark, map."""
    series, raster = SERIES.kind, MAP.kind

    def show(recipe: TimeSeries | RasterMap) -> None:
        window.docking["Measure"].raise_()
        window.measure.set_recipe(recipe)
        window.propose_file()

    def changed(status: Status) -> bool:
        return status.kind == series and (status.done >= ENOUGH or status.state.ended)

    def dark(status: Status) -> bool:
        return status.kind == series and status.state.ended and not status.emission

    return (
        Step(
            "This strip is always here: is the laser lit, how strong at the sample, what this spot has had, what runs. "
            "DARK NOW, or Esc twice, switches the laser off whatever happens.",
            lambda: window.strip,
        ),
        Step(
            "A recipe says what to measure; beneath it stands what it will cost the film. This one shines 120 µW on "
            "one spot for 500 s of the microscope's time. Press Start.",
            lambda: window.measure, lambda: show(SERIES), ran(RunState.RUNNING, series),
        ),
        Step(
            "The film changes: the green, bromide-rich share grows on the cost of the red. Above is the newest "
            "spectrum with its unmixed parts, here are all of them against time, and the shares with their fit.",
            lambda: window.views.series, lambda: window.docking["Series"].raise_(), changed,
        ),
        Step(
            "Now be dark: press DARK NOW, or Esc twice. The measurement ends, its file is complete.",
            lambda: window.strip.dark_button, lambda: None, dark,
        ),
        Step(
            "A map by a weak probe shows what the light has done around the spot. Press Start; click a pixel for its "
            "spectrum. Everything is saved: File > Open saved scans shows it again in the same views.",
            lambda: window.measure, lambda: show(MAP), ran(RunState.FINISHED, raster),
        ),
    )
