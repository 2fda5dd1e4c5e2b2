"""Dialogs that ask for files: never modal, and never the platform's own.

A modal dialog would take *Dark now* away from the mouse, and one of the platform would take Esc from this program.
"""

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QColor, QIcon, QPainter
from qtpy.QtWidgets import QComboBox, QFileDialog, QFileIconProvider, QToolButton, QWidget

from halidescope.gui.theme import RED, Theme, worn

ICON_PX = 16
SAVED_SCANS = "Scans (*.nxs *.journal)"


def ask_files(
    parent: QWidget | None, title: str, filter_: str, then: Callable[[list[Path]], object], *, folder: str = "",
    many: bool = False,
) -> QFileDialog:
    """Ask for a file that exists, or for several; ``then`` gets them if they are chosen."""
    dialog = _dialog(parent, title, folder, filter_)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFiles if many else QFileDialog.FileMode.ExistingFile)
    dialog.filesSelected.connect(lambda names: then([Path(name) for name in names]))
    dialog.show()
    return dialog


def ask_target(
    parent: QWidget, title: str, filter_: str, proposal: str, then: Callable[[Path], object], *, suffix: str = "",
    replaces: bool = True,
) -> QFileDialog:
    """Ask for a file to be written; with ``replaces`` the dialog itself asks about one that exists."""
    dialog = _dialog(parent, title, proposal, filter_)
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setDefaultSuffix(suffix)
    dialog.setOption(QFileDialog.Option.DontConfirmOverwrite, not replaces)
    dialog.fileSelected.connect(lambda name: then(Path(name)))
    dialog.show()
    return dialog


def _dialog(parent: QWidget | None, title: str, start: str, filter_: str) -> QFileDialog:
    dialog = QFileDialog(parent, title, start, filter_)
    dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    if worn() is RED:       # no white pages and blue folders in a dark room
        dialog.icons = NoIcons()        # type: ignore[attr-defined]  # the dialog does not keep it
        dialog.setIconProvider(dialog.icons)    # type: ignore[attr-defined]
        for button in dialog.findChildren(QToolButton):
            button.setIcon(tinted(button.icon(), RED))
        for combo in dialog.findChildren(QComboBox):
            combo.setIconSize(QSize(0, 0))
        dialog.setSizeGripEnabled(False)        # which is grey; the edges do the same
    return dialog


class NoIcons(QFileIconProvider):
    """Files and places without pictures."""

    def icon(self, *_: object) -> QIcon:
        """None."""
        return QIcon()


def tinted(icon: QIcon, theme: Theme) -> QIcon:
    """The outline of an icon in the colour of a theme's text."""
    pixmap = icon.pixmap(ICON_PX, ICON_PX)
    painter = QPainter(pixmap)
    painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_SourceIn)
    painter.fillRect(pixmap.rect(), QColor(theme.faint))
    painter.end()
    found = QIcon(pixmap)
    found.addPixmap(pixmap, QIcon.Mode.Disabled)        # else Qt makes a grey one
    return found
