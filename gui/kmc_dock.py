"""The simulation beside the measurement: the film it imagines, its band against the data, score and posterior.

The comparison runs in :class:`halidescope.gui.kmc_process.ComparisonProcess`, only while somebody looks; here questions
are made of what was measured, and answers painted.
"""

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QRectF, Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from halidescope.acquisition.results import Number
from halidescope.gui.kmc_process import PROCESS_ITSELF, Answer, ComparisonProcess, News, Parameter, Question
from halidescope.gui.parted import BESIDE, parted
from halidescope.gui.plots import NOTHING, Plot, recolour
from halidescope.gui.run_data import RunData
from halidescope.gui.sentence import Sentence
from halidescope.gui.theme import DARK, Theme, points, px, value_font
from halidescope.gui.values import plus_minus

EMPTY = "no comparison yet: it begins with a time series whose Br-rich share grows"
LABELS = {
    "iodide_ev": ("E_I", "eV"), "bromide_ev": ("E_Br", "eV"), "escape": ("escape A", ""),
    "log10_seconds_per_step": ("log₁₀ s per step", ""),
}  # fmt: skip
QUANTITIES = {"bromide-share": "Br-rich share", "peak-energy": "emission energy"}
AUTOMATIC = 0.0   # of the composition: as the pristine emission says


class KmcPanel(QWidget):
    """Lattice from above and from the side, E_g(t) with band, discrepancy, parameters with their posterior."""

    _news = Signal(object)

    def __init__(self, parent: QWidget | None = None, process: ComparisonProcess | None = None) -> None:
        super().__init__(parent)
        self._theme = DARK
        self._data: RunData | None = None
        self._asked = 0
        self._waiting = False
        self._stale = False
        self._seen = False
        self._lattice: NDArray[np.int8] | None = None
        self.answer: Answer | None = None
        self._news.connect(self._take, Qt.ConnectionType.QueuedConnection)
        self.process = process or ComparisonProcess(self._news.emit)
        self._build_controls()
        self._build_plots()
        self._build_layout()
        self.set_theme(DARK)

    def _build_controls(self) -> None:
        self.follow = QCheckBox("follow", self)
        self.follow.setChecked(True)
        self.follow.setToolTip("Compare again with every new fit while this view is open, at low priority.")
        self.follow.toggled.connect(lambda _: self._look())
        self.quantity = QComboBox(self)
        for key, words in QUANTITIES.items():
            self.quantity.addItem(words, key)
        self.quantity.setToolTip(
            "What is compared with E_g: the Br-rich share, as far as E_g has gone towards the pure bromide, or the "
            "energy of the emission itself."
        )
        self.quantity.currentIndexChanged.connect(lambda _: self._ask_anew())
        self.composition = QDoubleSpinBox(self)
        self.composition.setRange(AUTOMATIC, 3.0)
        self.composition.setSingleStep(0.1)
        self.composition.setSpecialValueText("x from emission")
        self.composition.setToolTip("Composition x in CsPbBr(3−x)I(x) that the simulated film starts with.")
        self.composition.setKeyboardTracking(False)
        self.composition.valueChanged.connect(lambda _: self._ask_anew())
        self.progress = QProgressBar(self)
        self.progress.setRange(0, 100)
        self.progress.hide()

    def _build_plots(self) -> None:
        self.above = _LatticePlot(("y", "sites"), ("x", "sites"))
        self.side = _LatticePlot(("z", "sites"), ("x", "sites"))
        for plot in (self.above, self.side):
            plot.setToolTip("A simulated film: bromide green, iodide red, vacancies in the colour of the text.")
        self.layer = QSlider(Qt.Orientation.Horizontal, self)
        self.layer.setToolTip("Layer that is seen from above.")
        self.layer.setAccessibleName("layer")
        self.layer.setRange(0, 0)
        self.layer.valueChanged.connect(lambda _: self._show_layer())
        self.layer_label = QLabel("layer z = 0", self)
        self.halo_plot = Plot(left=("share", "%"), bottom=("distance from the beam", "sites"))
        self.halo_plot.setYRange(0, 150, padding=0)         # room for the legend on top
        self.halo_plot.getPlotItem().getAxis("left").setTicks([[(part, str(part)) for part in (0, 50, 100)]])
        self.halo_plot.setMinimumHeight(px(100))      # its label
        self.halo_plot.setToolTip("Around the beam: iodide among the ions (dashed), vacancies among the sites (dots).")
        self.halo_iodide = pg.PlotDataItem(symbol="s", symbolSize=5, symbolPen=None)
        self.halo_vacancy = pg.PlotDataItem(symbol="o", symbolSize=5, symbolPen=None)
        for item in (self.halo_iodide, self.halo_vacancy):
            self.halo_plot.addItem(item)
        self.halo_legend = self.halo_plot.addLegend(offset=(-4, 2), colCount=2, labelTextSize=f"{points(8.5)}pt")
        self.halo_legend.addItem(self.halo_iodide, "iodide")
        self.halo_legend.addItem(self.halo_vacancy, "vacancies")
        self.curve_plot = Plot(left=("E_g", "eV"), bottom=("time", "s"))
        self.legend = self.curve_plot.addLegend(offset=(8, 2), colCount=2, labelTextSize=f"{points(8.5)}pt")
        self.low, self.high, self.median = pg.PlotDataItem(), pg.PlotDataItem(), pg.PlotDataItem()
        self.band = pg.FillBetweenItem(self.low, self.high)
        self.measured = pg.PlotDataItem(pen=None, symbol="o", symbolSize=4, symbolPen=None)
        for item in (self.band, self.low, self.high, self.median, self.measured):
            self.curve_plot.addItem(item)
        for words, item in (
            ("95 % band, from", self.low), ("95 % band, to", self.high), ("median of the simulation", self.median),
        ):
            self.curve_plot.name_data(words, item)
        self.band.setZValue(-1)
        self.legend.addItem(self.measured, "measured")
        self.legend.addItem(self.median, "simulation, 95 % band")
        self.marginals = {name: _Marginal(*LABELS[name]) for name in LABELS}
        self._say_empty(EMPTY)

    def _build_layout(self) -> None:
        self.score = Sentence("", self)
        self.score.setFont(value_font(10.5))
        self.score.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.note = Sentence("", self)
        self.note.setProperty("faint", True)
        controls = QHBoxLayout()
        for widget in (self.follow, self.quantity, self.composition, self.progress):
            controls.addWidget(widget)
        controls.addStretch(1)
        films = QWidget(self)
        pair = QHBoxLayout()
        pair.addWidget(self.above, 1)
        pair.addWidget(self.side, 1)
        slide = QHBoxLayout()
        slide.addWidget(self.layer_label)
        slide.addWidget(self.layer, 1)
        column = QVBoxLayout(films)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(pair, 3)
        column.addLayout(slide)
        column.addWidget(self.halo_plot, 2)
        right = QWidget(self)
        stack = QVBoxLayout(right)
        stack.setContentsMargins(0, 0, 0, 0)
        stack.addWidget(self.curve_plot, 3)
        row = QHBoxLayout()
        for marginal in self.marginals.values():
            row.addWidget(marginal, 1)
        stack.addLayout(row, 2)
        split = parted(self, films, right, (400, 480), BESIDE)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 4)
        layout.setSpacing(2)
        layout.addLayout(controls)
        layout.addWidget(split, 1)
        layout.addWidget(self.score)
        layout.addWidget(self.note)

    def set_theme(self, theme: Theme) -> None:
        """Take on a theme's colours."""
        self._theme = theme
        for plot in (self.above, self.side, self.halo_plot, self.curve_plot, *self.marginals.values()):
            plot.set_theme(theme)
        for item in (self.low, self.high):
            item.setPen(pg.mkPen(None))
        shade = QColor(theme.bromide)
        shade.setAlpha(70)
        self.band.setBrush(pg.mkBrush(shade))
        self.median.setPen(pg.mkPen(theme.bromide, width=2))
        self.measured.setSymbolBrush(theme.data)
        self.halo_iodide.setPen(pg.mkPen(theme.iodide, width=2, style=Qt.PenStyle.DashLine))
        self.halo_iodide.setSymbolBrush(theme.iodide)
        self.halo_vacancy.setPen(pg.mkPen(theme.text, width=1, style=Qt.PenStyle.DotLine))
        self.halo_vacancy.setSymbolBrush(theme.text)
        for legend in (self.legend, self.halo_legend):
            recolour(legend, theme)

    # what is asked

    def refresh(self, data: RunData) -> None:
        """There are new results; a measurement of another kind leaves the last comparison as it is."""
        if data.grid is None:
            self._data = data
            self._stale = True
            self._look()

    def _ask_anew(self) -> None:
        self._stale = True
        self._waiting = False        # an answer to the old question is not waited for
        self._look()

    def set_seen(self, seen: bool) -> None:
        """Somebody looks at this view, or nobody; what is asked is answered either way, but nothing new is asked."""
        self._seen = seen
        self._look()

    @property
    def seen(self) -> bool:
        """Whether somebody looks at this view."""
        return self._seen

    def _look(self) -> None:
        if not (self._stale and self._data is not None and self.follow.isChecked() and self._seen):
            return
        if self._waiting:
            return                   # the newest data are asked about when the answer is there
        self._stale = False
        # loads the simulation's compiled code, which a window that nobody compares in does not need
        from halidescope.gui.kmc_question import NotComparableError, composition_of, configuration_of, curve_of

        try:
            measured = curve_of(self._data, self.quantity.currentData())
            chosen = self.composition.value()
            x = composition_of(self._data) if chosen == AUTOMATIC else chosen
        except NotComparableError as reason:
            self.note.setText(str(reason))
            return
        self._asked += 1
        self._waiting = True
        raw = (measured.time_s, measured.value, measured.sigma)
        time_s, value, sigma = (np.asarray(column, dtype=float).tolist() for column in raw)
        self.process.ask(Question(self._asked, configuration_of(x), time_s, value, sigma, measured.kind))

    def _take(self, news: News) -> None:
        if news.stage:
            self.progress.show()
            self.progress.setValue(round(100 * news.share))
            self.progress.setFormat(f"{news.stage}: %p %")
            return
        self.progress.hide()
        if news.number not in (PROCESS_ITSELF, self._asked):
            return                   # about something that nobody asks any more
        self._waiting = False
        if news.problem:
            self.note.setText(news.problem)
        if news.answer is not None:
            self.show_answer(news.answer)
        self._look()

    # what is shown

    def show_answer(self, answer: Answer) -> None:
        """Paint a comparison."""
        self.answer = answer
        time_s = np.asarray(answer.time_s)
        self._say_empty("")
        for item, values in (
            (self.low, answer.low_ev), (self.high, answer.high_ev), (self.median, answer.median_ev),
            (self.measured, answer.measured_ev),
        ):  # fmt: skip
            item.setData(time_s, np.asarray(values))
        everything = [*answer.low_ev, *answer.high_ev, *answer.measured_ev]
        low, high = min(everything), max(everything)
        span = max(high - low, 0.01)
        self.curve_plot.setYRange(low - 0.05 * span, high + 0.3 * span, padding=0)   # room for the legend on top
        self.curve_plot.setXRange(0, 1.03 * time_s[-1], padding=0)
        for parameter in answer.parameters:
            self.marginals[parameter.name].show_parameter(parameter)
        self._lattice = np.frombuffer(answer.lattice, np.int8).reshape((answer.size,) * 3)
        middle = answer.size // 2
        self.layer.setRange(0, answer.size - 1)
        self.layer.setValue(middle if self.layer.value() == 0 else self.layer.value())
        self.side.show_species(self._lattice[:, middle, :])
        self._show_layer()
        verdict = (
            "the model can explain the data" if answer.p_value > 0.05
            else "the model does not explain the data; parameters are those of its nearest curves"
        )
        self.score.setText(
            f"discrepancy {answer.discrepancy:.2g} (curves of the model itself: {answer.null_median:.2g}, 95 % below "
            f"{answer.null_95:.2g}), p = {answer.p_value:.2g}: {verdict}"
        )
        radius = np.asarray(answer.halo_radius)
        self.halo_iodide.setData(radius, 100 * np.asarray(answer.halo_iodide, dtype=float))
        self.halo_vacancy.setData(radius, 100 * np.asarray(answer.halo_vacancy))
        self.halo_plot.setXRange(0, radius[-1] + 0.5, padding=0)
        bromides, iodides, vacancies = answer.species
        self.note.setText(
            f"Film simulated with the posterior's means, after {answer.steps} steps: {bromides} bromides, {iodides} "
            f"iodides ({answer.species_start[1] - iodides} lost), {vacancies} vacancies. Seconds per step are fitted; "
            "shares of emission are not volume fractions."
        )

    def _show_layer(self) -> None:
        if self._lattice is not None:
            z = self.layer.value()
            self.layer_label.setText(f"layer z = {z}")
            self.above.show_species(self._lattice[:, :, z])

    def clear(self) -> None:
        """Another series begins: show nothing until there is something to compare."""
        self._data = None
        self._stale = self._waiting = False
        self._asked += 1
        self.answer = None
        self._lattice = None
        for item in (self.low, self.high, self.median, self.measured, self.halo_iodide, self.halo_vacancy):
            item.setData([], [])
        for plot in (self.above, self.side, *self.marginals.values()):
            plot.forget()
        self._say_empty(EMPTY)
        self.score.setText("")
        self.note.setText("")

    def _say_empty(self, words: str) -> None:
        self.curve_plot.say_empty(words)
        for plot in (self.above, self.side, self.halo_plot, *self.marginals.values()):
            plot.say_empty(NOTHING if words else "")

    def close_process(self) -> None:
        """End the comparison's process."""
        self.process.leave()


class _LatticePlot(Plot):
    """One plane of species codes."""

    def __init__(self, left: tuple[str, str], bottom: tuple[str, str]) -> None:
        super().__init__(left=left, bottom=bottom)
        self.setAspectLocked(True)
        self.getPlotItem().getAxis("left").setWidth(px(44))
        self.image = pg.ImageItem()
        self.addItem(self.image)
        self.name_data("species (0 bromide, 1 iodide, 2 vacancy)", self.image)

    def set_theme(self, theme: Theme) -> None:
        """Take on a theme's colours: bromide, iodide, and white for a vacancy."""
        super().set_theme(theme)
        colours = [QColor(theme.bromide), QColor(theme.iodide), QColor(theme.text)]
        self.image.setLookupTable(np.array([[c.red(), c.green(), c.blue()] for c in colours], np.uint8))

    def show_species(self, plane: NDArray[np.int8]) -> None:
        """Show a plane; the first index goes to the right."""
        self.image.setImage(np.ascontiguousarray(plane), autoLevels=False, levels=(0, 3))
        width, height = plane.shape
        self.image.setRect(QRectF(-0.5, -0.5, width, height))
        self.setRange(QRectF(-0.5, -0.5, width, height), padding=0.02)

    def forget(self) -> None:
        """Show nothing."""
        self.image.clear()


class _Marginal(Plot):
    """The posterior of one parameter between the limits it had before, with its 90 % interval."""

    def __init__(self, label: str, unit: str) -> None:
        super().__init__(left=("", ""), bottom=(label, unit))
        axis = self.getPlotItem().getAxis("left")
        axis.setStyle(showValues=False, tickLength=0)
        axis.setWidth(6)
        self._hidden.add("left")
        self.setMinimumWidth(px(110))
        self._label, self._unit = label, unit
        self.bars = pg.BarGraphItem(x=[], height=[], width=1.0)
        self.name_data("posterior, draws in a bin", self.bars)
        self.addItem(self.bars)
        self.edges = [pg.InfiniteLine(angle=90, movable=False) for _ in range(2)]
        for edge in self.edges:
            edge.hide()
            self.addItem(edge)

    def set_theme(self, theme: Theme) -> None:
        """Take on a theme's colours."""
        super().set_theme(theme)
        self.bars.setOpts(brush=pg.mkBrush(theme.accent), pen=pg.mkPen(None))
        for edge in self.edges:
            edge.setPen(pg.mkPen(theme.text, width=1, style=Qt.PenStyle.DashLine))

    def show_parameter(self, parameter: Parameter) -> None:
        """Show a posterior."""
        edges = np.linspace(parameter.prior_low, parameter.prior_high, len(parameter.counts) + 1)
        self.bars.setOpts(x0=edges[:-1], x1=edges[1:], x=None, width=None, height=parameter.counts)
        self.setXRange(parameter.prior_low, parameter.prior_high, padding=0.02)
        wide = parameter.prior_high - parameter.prior_low
        ticks = [(at, f"{at:.2g}") for at in parameter.prior_low + wide * np.array([0.25, 0.75])]
        self.getPlotItem().getAxis("bottom").setTicks([ticks])
        self.setYRange(0, 1.05 * max([*parameter.counts, 1]), padding=0)
        for edge, at in zip(self.edges, (parameter.low, parameter.high), strict=True):
            edge.setPos(at)
            edge.show()
        value = plus_minus(Number(parameter.mean, parameter.sd), self._unit)
        self.setToolTip(f"{self._label} {value}; 90 % of such truths lie between the dashed lines, "
                        f"{parameter.low:.3g} and {parameter.high:.3g}")

    def forget(self) -> None:
        """Show nothing."""
        self.bars.setOpts(x=[], x0=None, x1=None, width=1.0, height=[])
        for edge in self.edges:
            edge.hide()
