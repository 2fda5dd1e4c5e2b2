"""The three views of data side by side: live, series, map, fed from one :class:`RunData`. Live and saved alike."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from halidescope.acquisition.listing import parts_in
from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.recipes import AdaptiveMap, RasterMap
from halidescope.acquisition.scan import Scan
from halidescope.gui.lane import Lane
from halidescope.gui.live_dock import LivePanel
from halidescope.gui.map_dock import MapPanel
from halidescope.gui.run_data import RunData, TakenSpectrum, read_whole
from halidescope.gui.series_dock import SeriesPanel
from halidescope.gui.theme import Theme

MAP_KINDS = tuple(model.model_fields["kind"].default for model in (RasterMap, AdaptiveMap))
SLOW_PERIOD_MS = 150   # colour map and map; the live spectrum is painted as it comes


class Views(QObject):
    """Paints what is new, no more often than eyes need it.

    Signals
    -------
    said(str)
        A sentence for the person: why something cannot be shown.
    """

    said = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.data = RunData()
        self.live = LivePanel()
        self.series = SeriesPanel()
        self.map = MapPanel()
        self._lane = Lane("halidescope-views", self)
        self.map.compare_asked.connect(self.compare_with)
        self.map.series_asked.connect(self.play_maps)
        self.series.compare_asked.connect(self.overlay)
        self.series.time_picked.connect(self.show_moment)
        self.live.newest.clicked.connect(self.follow_newest)
        self._pinned: int | None = None
        self._of_map = False        # also before the pixels are known
        self._phases: tuple[tuple[str, ...], int] | None = None
        self._stale = False
        self._timer = QTimer(self)
        self._timer.setInterval(SLOW_PERIOD_MS)
        self._timer.timeout.connect(self._repaint)
        self._timer.start()

    def stop(self) -> None:
        """Paint no more."""
        self._timer.stop()
        self.live.stop()
        self.map.stop()
        self.series.stop()
        self._lane.close()

    def set_theme(self, theme: Theme) -> None:
        """Take on a theme's colours."""
        for panel in (self.live, self.series, self.map):
            panel.set_theme(theme)

    def begin(self, kind: str) -> None:
        """A new measurement; the panel of the other kind keeps the last one of its own, for comparison."""
        axis = self.data.wavelength_nm
        self.data = RunData()
        self.data.set_axis(axis)
        self._phases = None
        self._stale = False
        self._pinned = None
        self._of_map = kind in MAP_KINDS
        self.live.clear()
        if kind in MAP_KINDS:
            self.map.clear()
        else:
            self.series.clear()

    def set_axis(self, wavelength_nm: np.ndarray) -> None:
        """Set the wavelength axis, in nm."""
        if len(wavelength_nm) == 0:
            return
        self.data.set_axis(wavelength_nm)
        self.live.set_axis(self.data.wavelength_nm)
        self.map.view.set_axis(self.data.wavelength_nm)

    def add_spectra(self, spectra: Sequence[TakenSpectrum]) -> None:
        """Take in spectra and show the last of them."""
        self.data.add(spectra)
        if self._pinned is None:
            self.live.show_spectrum(self.data, spectra[-1])
        self._stale = True

    def show_live(self, spectrum: TakenSpectrum) -> None:
        """Show a spectrum of a live view."""
        if len(self.data.wavelength_nm):
            self.live.show_live(spectrum)

    def add_results(self, results: object) -> None:
        """Take in a snapshot of the analysis."""
        self.data.add_results(results)   # type: ignore[arg-type]
        self._show_results()

    def load(self, data: RunData) -> None:
        """Take in a measurement's file or journal; what has come meanwhile is kept."""
        data.take_over(self.data)
        self.data = data
        self._of_map = data.grid is not None
        self.live.recall(data)
        self.live.set_axis(self.data.wavelength_nm)
        self.map.view.set_axis(self.data.wavelength_nm)
        self.map.set_grid(self.data)
        if self._of_map:
            self._phases = None     # a journal without results yet has taken the phases' quantities away
        self._show_results()

    def show_moment(self, time_s: float) -> None:
        """Show the spectrum taken nearest to a moment, until the newest is asked for."""
        index = self.data.nearest_in_time(time_s)
        if index is not None:
            self._pinned = index
            self.live.show_kept(self.data, index)
            self.live.newest.setVisible(index != self.data.newest_index)

    def follow_newest(self) -> None:
        """Show the newest spectrum again, and those that come."""
        self._pinned = None
        self.live.newest.hide()
        self.series.unpick()
        if self.data.newest_index is not None:
            self.live.show_kept(self.data, self.data.newest_index)

    def compare_with(self, path: Path) -> None:
        """Read another map, in a lane, and show it beside this one."""

        def read(found: tuple[Scan, RunData]) -> None:
            self.said.emit(self.map.compare_with(found[1], path.name) or f"left of the line: {path.name}")

        self._lane.ask(lambda: read_whole(path), read, self._not_read)

    def play_maps(self, paths: Sequence[Path]) -> None:
        """Read maps, and the maps in lists of files, in a lane, and go through them in the order of taking."""

        def read() -> list[tuple[str, RunData]]:
            whole = [(part.name, *read_whole(part)) for path in paths for part in parts_in(path)]
            whole.sort(key=lambda one: str(one[1].metadata["started_at"]))
            return [(name, data) for name, _, data in whole]

        def show(maps: list[tuple[str, RunData]]) -> None:
            self.said.emit(self.map.show_series(maps) or f"a series of {len(maps)} maps: play it with ▶")

        self._lane.ask(read, show, self._not_read)

    def overlay(self, path: Path) -> None:
        """Read another series, in a lane, and lay it over this one."""

        def read(found: tuple[Scan, RunData]) -> None:
            self.said.emit(self.series.compare_with(found[1], path.stem) or f"laid over the shares: {path.name}")

        self._lane.ask(lambda: read_whole(path), read, self._not_read)

    def _not_read(self, error: BaseException) -> None:
        if not isinstance(error, ProblemError):
            raise error
        self.said.emit(str(error))

    def _show_results(self) -> None:
        data = self.data
        phases = (data.labels, len(data.references))
        if phases != self._phases and len(data.references) and len(data.wavelength_nm):
            self._phases = phases
            self.live.view.set_phases(data.labels, data.references)
            if data.results.kind in MAP_KINDS:
                self.map.set_phases(data.labels, data)
            else:
                self.series.set_phases(data.labels, data)
        self._stale = True

    def _repaint(self) -> None:
        if not self._stale:
            return
        self._stale = False
        if self.data.grid is not None:
            self.map.show_map(self.data)
        elif not self._of_map:
            self.series.show_stack(self.data)
            self.series.show_results(self.data)
        if self._pinned is None:
            self.live.show_results(self.data)       # results may have come a moment before their spectra
