"""Pictures and numbers out of a view: PNG, SVG and PDF of what is seen, and a plot's data as text.

Every picture of simulated data says so in its corner.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QMarginsF, QPoint, QRectF, QSize, QSizeF, Qt
from qtpy.QtGui import QColor, QFont, QImage, QPageSize, QPainter, QPdfWriter
from qtpy.QtSvg import QSvgGenerator
from qtpy.QtWidgets import QMessageBox, QWidget

from halidescope.acquisition.problems import ScanFileError
from halidescope.gui.asking import ask_target

SCALE = 2.0                    # pixels of a PNG per pixel of the screen
PDF_DPI = 150
ENDINGS = (".png", ".svg", ".pdf")


def save_picture(widget: QWidget, path: Path, *, simulated: bool) -> None:
    """Write what a widget shows; the ending says as what. Raises :class:`ScanFileError` if it cannot be written."""
    if path.suffix not in ENDINGS:
        raise ScanFileError(f"picture {path}: ending {path.suffix!r} is not known; use {', '.join(ENDINGS)}")
    size = widget.size()
    if path.suffix == ".png":
        image = QImage(size * SCALE, QImage.Format.Format_ARGB32)
        image.setDevicePixelRatio(SCALE)
        _paint(widget, image, size, simulated=simulated)
        written = image.save(str(path))
    elif path.suffix == ".svg":
        svg = QSvgGenerator()
        svg.setFileName(str(path))
        svg.setSize(size)
        svg.setViewBox(QRectF(0, 0, size.width(), size.height()))
        svg.setTitle(path.stem + (" (simulated)" if simulated else ""))
        written = _paint(widget, svg, size, simulated=simulated)
    else:
        pdf = QPdfWriter(str(path))
        pdf.setResolution(PDF_DPI)
        points = QSizeF(size.width() * 72.0 / PDF_DPI, size.height() * 72.0 / PDF_DPI)
        pdf.setPageSize(QPageSize(points, QPageSize.Unit.Point))
        pdf.setPageMargins(QMarginsF(0, 0, 0, 0))
        pdf.setTitle(path.stem + (" (simulated)" if simulated else ""))
        written = _paint(widget, pdf, size, simulated=simulated)
    if not written:
        raise ScanFileError(f"picture {path}: cannot be written; choose another folder or free some space")


def _paint(widget: QWidget, device: QImage | QSvgGenerator | QPdfWriter, size: QSize, *, simulated: bool) -> bool:
    painter = QPainter()
    if not painter.begin(device):
        return False
    QWidget.render(widget, painter, QPoint(0, 0))        # a plot has a method of its own of that name
    if simulated:
        painter.setPen(QColor("#c06000"))
        painter.setFont(QFont(widget.font().family(), 9, QFont.Weight.Bold))
        place = QRectF(0, 0, size.width() - 8, size.height() - 4)
        painter.drawText(place, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom), "SIMULATED")
    painter.end()
    return True


def is_simulated(widget: QWidget) -> bool:
    """True if the window that a widget is in shows simulated data; a floating dock belongs to its window too."""
    above: QWidget | None = widget
    while above is not None:
        if above.property("simulated"):
            return True
        above = above.parentWidget()
    return False


def ask_picture(widget: QWidget, name: str) -> None:
    """Ask where to, and write what a widget shows; what is wrong with that is said."""

    def write(path: Path) -> None:
        try:
            save_picture(widget, path, simulated=is_simulated(widget))
        except ScanFileError as error:
            box = QMessageBox(QMessageBox.Icon.Warning, "Picture", str(error), parent=widget.window())
            box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            box.setModal(False)
            box.show()

    wanted = ";;".join(f"{ending[1:].upper()} (*{ending})" for ending in ENDINGS)
    ask_target(widget.window(), f"Picture of {name}", wanted, f"{name}{ENDINGS[0]}", write, suffix=ENDINGS[0][1:])


def plot_text(plot: pg.PlotWidget, across: str, up: str, names: Mapping[object, str]) -> str:
    """The data of a plot as tab-separated text: columns with units in their heads, for every image a table.

    Parameters
    ----------
    plot : PlotWidget
    across, up : str
        What its axes say, with units.
    names : mapping
        What items are, if neither axis nor legend says so; items with an empty name are decoration and left out.
    """
    item = plot.getPlotItem()
    legend = {sample.item: label.text for sample, label in item.legend.items} if item.legend is not None else {}
    tables: list[tuple[NDArray[np.float64], list[str], list[NDArray[np.float64]]]] = []
    for one in item.items:
        x, y = _columns_of(one)
        name = names.get(one, legend.get(one))
        if not len(x) or name == "":
            continue
        head = f"{name} [{up}]" if name and up else name or up
        same = next((table for table in tables if np.array_equal(table[0], x, equal_nan=True)), None)
        if same is None:
            same = (x, [across], [])
            tables.append(same)
        same[1].append(head)
        same[2].append(y)
    blocks = ["\n".join([
        "\t".join(heads), *("\t".join(_word(value) for value in row) for row in zip(x, *columns, strict=True)),
    ]) for x, heads, columns in tables]
    for image in (one for one in item.items if isinstance(one, pg.ImageItem) and one.image is not None):
        values = np.asarray(image.image if image.axisOrder == "row-major" else np.swapaxes(image.image, 0, 1))
        edges = image.mapRectToParent(image.boundingRect())
        rows, columns = values.shape[:2]
        x = edges.left() + (np.arange(columns) + 0.5) * edges.width() / columns
        y = edges.top() + (np.arange(rows) + 0.5) * edges.height() / rows
        blocks.append("\n".join([
            f"{names.get(image, 'value')}; rows: {up}, columns: {across}", "\t".join(["", *map(_word, x)]),
            *("\t".join(_word(value) for value in (at, *row)) for at, row in zip(y, values, strict=True)),
        ]))
    return "\n\n".join(blocks)


def _columns_of(item: object) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a curve, points, error bars (standard errors) or bars (at their middles) show; of anything else nothing."""
    x, y = None, None
    if isinstance(item, pg.ErrorBarItem):
        x, y = item.opts["x"], None if item.opts["height"] is None else np.asarray(item.opts["height"]) / 2
    elif isinstance(item, pg.BarGraphItem):
        if item.opts["x0"] is not None:
            x, y = (np.asarray(item.opts["x0"]) + np.asarray(item.opts["x1"])) / 2, item.opts["height"]
    elif isinstance(item, pg.PlotDataItem | pg.PlotCurveItem | pg.ScatterPlotItem):
        x, y = item.getData()
    if x is None or y is None:
        return np.empty(0), np.empty(0)
    return np.asarray(x, dtype=float), np.asarray(y, dtype=float)


def _word(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.10g}"
