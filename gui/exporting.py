"""Pictures and numbers out of a view: PNG, SVG and PDF of what is seen, and a plot's data as text.

Every picture of simulated data says so in its corner.
"""

from pathlib import Path

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QMarginsF, QPoint, QRectF, QSize, QSizeF, Qt
from qtpy.QtGui import QColor, QFont, QImage, QPageSize, QPainter, QPdfWriter
from qtpy.QtSvg import QSvgGenerator
from qtpy.QtWidgets import QWidget

from halidescope.acquisition.problems import ScanFileError

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
    widget.render(painter, QPoint(0, 0))
    if simulated:
        painter.setPen(QColor("#c06000"))
        painter.setFont(QFont(widget.font().family(), 9, QFont.Weight.Bold))
        place = QRectF(0, 0, size.width() - 8, size.height() - 4)
        painter.drawText(place, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom), "SIMULATED")
    painter.end()
    return True


def plot_text(plot: pg.PlotWidget) -> str:
    """The data of a plot as tab-separated text: every curve a pair of columns, every image a table with its edges."""
    item = plot.getPlotItem()
    axes = [item.getAxis(side).labelText or side for side in ("bottom", "left")]
    blocks = []
    for curve in item.listDataItems():
        x, y = curve.getData() if hasattr(curve, "getData") else (None, None)
        if x is None or y is None or not len(x):
            continue
        lines = [f"{axes[0]}\t{axes[1]}"]
        lines += [f"{a:.10g}\t{b:.10g}" for a, b in zip(x, y, strict=True)]
        blocks.append("\n".join(lines))
    for image in (one for one in item.items if isinstance(one, pg.ImageItem)):
        if image.image is None:
            continue
        edges = image.mapRectToParent(image.boundingRect())
        head = (
            f"rows: {axes[1]} {edges.top():.6g} to {edges.bottom():.6g}; "
            f"columns: {axes[0]} {edges.left():.6g} to {edges.right():.6g}"
        )
        rows = ["\t".join("" if np.isnan(value) else f"{value:.8g}" for value in row) for row in image.image]
        blocks.append("\n".join([head, *rows]))
    return "\n\n".join(blocks)
