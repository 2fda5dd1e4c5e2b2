"""Colours, line styles and digits of every window, and the three themes: dark, light, and red on black.

Only looks are here. Bromide-rich is green and iodide-rich red everywhere, each with a line style of its own for readers
who cannot tell the two apart; the red theme keeps the styles and gives up the hues, because a dark-adapted eye and a
photomultiplier stand no green.
"""

from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from numpy.typing import ArrayLike
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QFont, QFontMetricsF, QPalette
from qtpy.QtWidgets import QApplication, QWidget

DRAWN_FOR_PT, DRAWN_FOR_PX = 9.0, 14.0      # the font that lengths were drawn for, and the height of its lines
WORN = "halidescope_theme"         # and one with the theme's name
DRESSED = "halidescope_dressed"    # property of an application that has our style already


@dataclass(frozen=True)
class Theme:
    """One set of colours, as ``#rrggbb``."""

    name: str
    window: str
    panel: str
    plot: str
    text: str
    faint: str
    line: str
    accent: str
    good: str
    warning: str
    lit: str
    danger: str
    danger_text: str
    bromide: str
    iodide: str
    middle: str
    data: str
    missing: str
    image_map: str


DARK = Theme(
    name="dark", window="#1e2227", panel="#262b31", plot="#14171a", text="#e3e6e8", faint="#98a2ab", line="#444c55",
    accent="#5aa9e6", good="#7fb98a", warning="#f0b429", lit="#ffd23f", danger="#d62f2f", danger_text="#ffffff",
    bromide="#3ecf6e", iodide="#ff5a4f", middle="#e8b93c", data="#c9d1d9", missing="#4a4f57", image_map="viridis",
)
LIGHT = Theme(
    name="light", window="#f1f2f4", panel="#ffffff", plot="#ffffff", text="#1c2126", faint="#5c6670", line="#c3c8ce",
    accent="#1f6fb2", good="#2c7a3f", warning="#a15c00", lit="#ffb000", danger="#c41e1e", danger_text="#ffffff",
    bromide="#15803d", iodide="#c81e1e", middle="#a16207", data="#30363d", missing="#c9ccd1", image_map="viridis",
)
RED = Theme(
    name="red", window="#0a0000", panel="#140202", plot="#000000", text="#ff5a4a", faint="#b03a30", line="#5a1812",
    accent="#ff7a68", good="#d84a3c", warning="#ff8a70", lit="#ff4a38", danger="#a00000", danger_text="#ffb0a0",
    bromide="#ff8a78", iodide="#d01c10", middle="#ff5040", data="#c0463a", missing="#2c0a08", image_map="CET-L13",
)
THEMES: dict[str, Theme] = {theme.name: theme for theme in (DARK, LIGHT, RED)}


def phase_pen(theme: Theme, rank: float, *, width: float = 2.0) -> pg.mkPen:
    """Pen of a phase by its place between the bluest (0, bromide-rich) and the reddest (1, iodide-rich) endmember."""
    if rank <= 0.0:
        colour, style = theme.bromide, Qt.PenStyle.SolidLine
    elif rank >= 1.0:
        colour, style = theme.iodide, Qt.PenStyle.DashLine
    else:
        colour, style = theme.middle, Qt.PenStyle.DashDotLine
    return pg.mkPen(colour, width=width, style=style)


def phase_ranks(wavelength_nm: ArrayLike, references: ArrayLike) -> list[float]:
    """Place of every endmember between the bluest (0) and the reddest (1), from their centres of mass.

    Parameters
    ----------
    wavelength_nm : array_like, shape (channels,)
    references : array_like, shape (k, channels)
        Endmember spectra, not negative in sum.
    """
    spectra = np.asarray(references, dtype=float)
    if spectra.size == 0:
        return []
    centres = spectra @ np.asarray(wavelength_nm, dtype=float) / spectra.sum(axis=1)
    if len(centres) == 1:
        return [0.0]
    places = np.argsort(np.argsort(centres))
    return [float(place) / (len(centres) - 1) for place in places]


def points(size_pt: float) -> float:
    """A size of letters that goes with the person's own font."""
    return size_pt * max(QApplication.font().pointSizeF(), 1.0) / DRAWN_FOR_PT


def px(length: float) -> int:
    """A length on the screen that goes with the person's own font; without an application, as it is."""
    if QApplication.instance() is None:
        return round(length)
    return round(length * QFontMetricsF(QApplication.font()).height() / DRAWN_FOR_PX)


def value_font(size_pt: float = 10.0, *, bold: bool = False) -> QFont:
    """The font of values: digits of equal width, so that a counting number does not dance."""
    font = QFont(QApplication.font())
    font.setPointSizeF(points(size_pt))
    font.setBold(bold)
    font.setFeature(QFont.Tag("tnum"), 1)
    return font


def palette(theme: Theme) -> QPalette:
    """The theme as Qt's palette."""
    roles = QPalette.ColorRole
    result = QPalette()
    for role, colour in (
        (roles.Window, theme.window), (roles.WindowText, theme.text), (roles.Base, theme.panel),
        (roles.AlternateBase, theme.window), (roles.Text, theme.text), (roles.Button, theme.panel),
        (roles.ButtonText, theme.text), (roles.ToolTipBase, theme.panel), (roles.ToolTipText, theme.text),
        (roles.Highlight, theme.accent), (roles.HighlightedText, theme.window), (roles.PlaceholderText, theme.faint),
        (roles.Link, theme.accent), (roles.BrightText, theme.danger), (roles.Mid, theme.line), (roles.Dark, theme.line),
        (roles.Light, theme.panel), (roles.Midlight, theme.panel), (roles.Shadow, theme.window),
    ):  # fmt: skip
        result.setColor(role, QColor(colour))
    for role in (roles.WindowText, roles.Text, roles.ButtonText):
        result.setColor(QPalette.ColorGroup.Disabled, role, QColor(theme.faint))
    return result


def style_sheet(theme: Theme) -> str:
    """What the palette cannot say: borders, marks of wrong fields, the red button."""
    return f"""
    QToolTip {{ color: {theme.text}; background: {theme.panel}; border: 1px solid {theme.line}; }}
    QDockWidget {{ color: {theme.faint}; }}
    QDockWidget::title {{ background: {theme.window}; padding: 3px 6px; border-bottom: 1px solid {theme.line}; }}
    QToolBar#statusBarStrip {{ background: {theme.panel}; border: 0; border-bottom: 1px solid {theme.line}; }}
    QLineEdit, QComboBox, QPlainTextEdit, QListWidget {{
        background: {theme.plot}; color: {theme.text}; border: 1px solid {theme.line};
        border-radius: 3px; padding: 2px 4px;
    }}
    QComboBox QAbstractItemView {{ selection-background-color: {theme.accent}; selection-color: {theme.window}; }}
    QLineEdit:focus, QComboBox:focus, QListWidget:focus, QTableWidget:focus, QPlainTextEdit:focus, QScrollArea:focus {{
        border: 1px solid {theme.accent};
    }}
    QCheckBox::indicator, QRadioButton::indicator {{
        width: 11px; height: 11px; background: {theme.plot}; border: 1px solid {theme.faint};
    }}
    QRadioButton::indicator {{ border-radius: 6px; }}
    QCheckBox::indicator:checked, QRadioButton::indicator:checked {{ background: {theme.accent}; }}
    QCheckBox:focus, QRadioButton:focus {{ color: {theme.accent}; }}
    QSlider {{ border: 1px solid transparent; }}
    QSlider:focus {{ border: 1px solid {theme.accent}; }}
    QLineEdit[invalid="true"] {{ border: 2px solid {theme.danger}; }}
    QPushButton {{
        background: {theme.panel}; color: {theme.text}; border: 1px solid {theme.line};
        border-radius: 4px; padding: 4px 10px;
    }}
    QPushButton:hover, QPushButton:focus {{ border: 1px solid {theme.accent}; }}
    QPushButton:disabled {{ color: {theme.faint}; }}
    QPushButton#darkNow {{
        background: {theme.danger}; color: {theme.danger_text}; border: 2px solid {theme.danger_text};
        border-radius: 5px; font-weight: bold; padding: 6px 14px;
    }}
    QPushButton#darkNow:focus {{ border: 2px solid {theme.warning}; }}
    QLabel[faint="true"] {{ color: {theme.faint}; }}
    QLabel[alarm="true"], QLabel[mark="true"] {{ border-radius: 3px; padding: 2px 6px; }}
    QLabel[alarm="true"] {{ color: {theme.danger_text}; background: {theme.danger}; }}
    QLabel[mark="true"] {{ color: {theme.window}; background: {theme.warning}; }}
    QDialogButtonBox {{ dialogbuttonbox-buttons-have-icons: 0; }}
    QLabel#emission {{ border: 3px solid {theme.line}; border-radius: 5px; padding: 1px 10px; }}
    QLabel#emission[emission="lit"] {{
        color: #000000; background: {theme.lit}; border: 3px solid {theme.lit};
    }}
    QLabel#emission[emission="unknown"] {{ border: 3px dashed {theme.warning}; }}
    QFrame#litBar {{ border: 0; background: {theme.panel}; }}
    QFrame#litBar[emission="lit"] {{ background: {theme.lit}; }}
    QFrame[card="true"] {{ background: {theme.panel}; border: 1px solid {theme.warning}; border-radius: 5px; }}
    QFrame#tourFrame {{ border: 3px solid {theme.accent}; border-radius: 4px; background: transparent; }}
    QPushButton[pad="true"] {{ padding: 0; }}
    QPlainTextEdit, QTableWidget {{ background: {theme.plot}; color: {theme.text}; }}
    QHeaderView::section {{ background: {theme.panel}; color: {theme.text}; border: 1px solid {theme.line}; }}
    QLabel[reason="true"] {{ color: {theme.warning}; }}
    QProgressBar {{
        background: {theme.plot}; border: 1px solid {theme.line}; border-radius: 3px;
        text-align: center; color: {theme.text};
    }}
    QProgressBar::chunk {{ background: {theme.accent}; }}
    QProgressBar[full="true"]::chunk {{ background: {theme.danger}; }}
    """


def set_look(widget: QWidget, name: str, value: bool | str) -> None:
    """Set a property that the style sheet asks for, and have it ask, which costs, only when it has changed."""
    if widget.property(name) != value:
        widget.setProperty(name, value)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


def worn() -> Theme:
    """The theme that the application wears."""
    application = QApplication.instance()
    return THEMES.get(str(application.property(WORN)), DARK) if application is not None else DARK


def apply_theme(application: QApplication, theme: Theme) -> None:
    """Dress the whole application; plots take their colours from their own ``set_theme``."""
    if application.property(DRESSED) is None:       # the style says no name of its own once there is a sheet
        application.setStyle("Fusion")
        application.setProperty(DRESSED, True)
    sheet = style_sheet(theme)
    if application.styleSheet() != sheet:      # setting it again would polish every widget anew
        application.setPalette(palette(theme))
        application.setProperty(WORN, theme.name)
        application.setStyleSheet(sheet)
