"""Pictures out of a view: PNG, SVG and PDF of what is seen.

Every picture of simulated data says so in its corner.
"""

from pathlib import Path

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
