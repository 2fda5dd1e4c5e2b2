"""The film under the objective: the stage's travel with the light that every place has had; a click goes there."""

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from pyqtgraph.GraphicsScene.mouseEvents import MouseClickEvent
from qtpy.QtCore import QRectF, Qt, QTimer, Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from halidescope.acquisition.dose import DoseMap
from halidescope.acquisition.facts import InstrumentFacts
from halidescope.acquisition.states import Status
from halidescope.gui.plots import ColourBar, Plot
from halidescope.gui.sentence import Sentence
from halidescope.gui.theme import DARK, Theme
from halidescope.gui.values import dose

EMPTY = "no stage is connected: open a microscope file (Ctrl+O), then Instruments > Connect (Ctrl+K)"
PIXELS = 200            # of the dose map's longer side
PERIOD_MS = 2000        # between two looks at the dose, while the panel is seen
Field = tuple[tuple[float, float], tuple[float, float]]


class FilmPanel(QWidget):
    """Map of the travel.

    Signals
    -------
    dose_map_asked(tuple, tuple, tuple)
        Origin and size in µm, shape (ny, nx).
    move_asked(float, float)
        A person clicked a place.
    """

    dose_map_asked = Signal(object, object, object)
    move_asked = Signal(float, float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = DARK
        self._travel: Field | None = None
        self._place: tuple[float, float] | None = None
        self.plot = Plot(left=("y", "µm"), bottom=("x", "µm"))
        self.plot.setAspectLocked(True)
        self.image = pg.ImageItem(axisOrder="row-major")
        self.plot.addItem(self.image)
        self.bar = ColourBar(self.image, self.plot)
        self.edge = pg.PlotCurveItem()
        self.plan = pg.PlotCurveItem()
        self.here = pg.ScatterPlotItem(size=16, symbol="+")
        for item in (self.edge, self.plan, self.here):
            self.plot.addItem(item)
        self.plot.name_data("edge of the travel", self.edge)
        self.plot.name_data("field of the recipe", self.plan)
        self.plot.name_data("stage", self.here)
        self.plot.scene().sigMouseClicked.connect(self._clicked)
        self.plot.say_empty(EMPTY)
        self.words = Sentence("no stage is connected", self)
        self.follow = QCheckBox("a click moves the stage", self)
        self.follow.setChecked(True)
        self.whole = QPushButton("Whole travel", self)
        self.whole.setToolTip("show all of the stage's travel again")
        self.whole.clicked.connect(self.show_all)
        row = QHBoxLayout()
        row.addWidget(self.words, 1)
        row.addWidget(self.follow)
        row.addWidget(self.whole)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addWidget(self.plot, 1)
        layout.addLayout(row)
        self._timer = QTimer(self)
        self._timer.setInterval(PERIOD_MS)
        self._timer.timeout.connect(self.ask)
        self.set_theme(DARK)

    def set_theme(self, theme: Theme) -> None:
        """Take on a theme's colours."""
        self._theme = theme
        self.plot.set_theme(theme)
        self.bar.set_theme(theme)
        self.edge.setPen(pg.mkPen(theme.faint, width=1))
        self.plan.setPen(pg.mkPen(theme.accent, width=1, style=Qt.PenStyle.DashLine))
        self.here.setPen(pg.mkPen(theme.warning, width=2))

    def showEvent(self, event: object) -> None:  # noqa: N802 - Qt's name
        """Look at the dose while somebody can see it."""
        super().showEvent(event)  # type: ignore[arg-type]
        self._timer.start()
        self.ask()

    def hideEvent(self, event: object) -> None:  # noqa: N802 - Qt's name
        """Nobody looks: ask for nothing."""
        self._timer.stop()
        super().hideEvent(event)  # type: ignore[arg-type]

    def ask(self) -> None:
        """Ask for the dose map of the whole travel."""
        if self._travel is None:
            return
        (x0, x1), (y0, y1) = self._travel
        step = max(x1 - x0, y1 - y0) / PIXELS
        rows, columns = round((y1 - y0) / step) + 1, round((x1 - x0) / step) + 1
        # middles of pixels on the edges of the travel and in even steps between, where spots usually are
        origin = (x0 - step / 2, y0 - step / 2)
        self.dose_map_asked.emit(origin, (columns * step, rows * step), (rows, columns))

    def show_facts(self, facts: InstrumentFacts) -> None:
        """Show the travel of the connected stage."""
        if facts.stage is None or facts.stage.travel_um == self._travel:
            return
        self._travel = facts.stage.travel_um
        self.plot.say_empty("")
        (x0, x1), (y0, y1) = self._travel
        self.edge.setData([x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0])
        self.words.setText("no light yet in this session")
        self.show_all()
        self.ask()

    def show_all(self) -> None:
        """Show all of the travel."""
        if self._travel is not None:
            (x0, x1), (y0, y1) = self._travel
            self.plot.setRange(QRectF(x0, y0, x1 - x0, y1 - y0), padding=0.03)

    def show_plan(self, places: NDArray[np.float64]) -> None:
        """Outline where the shown recipe would measure; places in µm, shape (n, 2)."""
        if len(places) == 0:
            self.plan.setData([], [])
            return
        (x0, y0), (x1, y1) = places.min(axis=0) - 1.0, places.max(axis=0) + 1.0
        self.plan.setData([x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0])

    def show_dose(self, found: DoseMap) -> None:
        """Show how much light every place has had, on a logarithmic scale: places differ by powers of ten."""
        values = np.asarray(found.dose_j_cm2, dtype=float)
        top = float(values.max())
        self.bar.setVisible(top > 0)
        if top <= 0 or self._travel is None:
            self.image.clear()
            return
        low = max(float(values[values > 0].min()), top * 1e-6)
        shown = np.where(values > 0, np.log10(np.maximum(values, low)), np.nan)
        bottom, high = float(np.log10(low)), float(np.log10(top))
        self.bar.show(shown, "log₁₀ of dose (J/cm²)", bottom, max(high, bottom + 0.1))
        x, y = np.asarray(found.x_um), np.asarray(found.y_um)
        step = float(x[1] - x[0]) if len(x) > 1 else 1.0
        self.image.setRect(QRectF(x[0] - step / 2, y[0] - step / 2, len(x) * step, len(y) * step))
        lit = 100.0 * float((values > 0).mean())
        share = f"{lit:.0f}" if lit >= 10 else f"{lit:.2g}"
        self.words.setText(f"greatest dose {dose(top)}; {share} % of the travel has had light in this session")

    def show_status(self, status: Status) -> None:
        """Show where the stage stands."""
        if status.position_um != self._place:
            self._place = status.position_um
            x, y = ([], []) if self._place is None else ([self._place[0]], [self._place[1]])
            self.here.setData(x, y)

    def set_unknown(self) -> None:
        """Nothing is known of the stage."""
        self._place = None
        self.here.setData([], [])

    def _clicked(self, event: MouseClickEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton or not self.follow.isChecked():
            return
        place = self.plot.getPlotItem().getViewBox().mapSceneToView(event.scenePos())
        self.move_asked.emit(place.x(), place.y())

    def stop(self) -> None:
        """Ask no more."""
        self._timer.stop()
