"""Dialogs that ask for files: never modal, and never the platform's own.

A modal dialog would take *Dark now* away from the mouse, and one of the platform would take Esc from this program.
"""

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QWidget

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
    return dialog
