"""Starting a window: Qt's binding chosen first, the application dressed, mistakes shown and logged."""

import gc
import logging
import os
import sys
from pathlib import Path
from types import TracebackType

os.environ.setdefault("QT_API", "pyside6")   # before qtpy, and qtpy before pyqtgraph

from qtpy.QtCore import QSettings, Qt
from qtpy.QtWidgets import QApplication

from halidescope.acquisition import priority
from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.recipes import load_recipe
from halidescope.acquisition.session import default_session_path
from halidescope.gui.window import MainWindow

log = logging.getLogger("halidescope.gui")


def make_application() -> QApplication:
    """The one application of this process."""
    existing = QApplication.instance()
    if isinstance(existing, QApplication):
        return existing
    application = QApplication(sys.argv[:1])
    application.setApplicationName("Halidescope")
    application.setOrganizationName("Halidescope")
    return application


FRAME_PX = 40     # of a window's title, which is not known before it is shown
NICENESS = 5      # of the window's thread, once an engine is there: an exposure on time is worth more than a frame


def give_way() -> None:
    """Let engine and watchdog have the processor first; they were started before and keep their priority."""
    priority.give_way(NICENESS)


def settle() -> None:
    """Spare the garbage collector what is loaded for good: its rounds through all of it stop a window for 0.1 s."""
    gc.collect()
    gc.freeze()


def show_mistakes(window: MainWindow) -> None:
    """Show a mistake of the program as a sentence in the window, its trace in the log; the window goes on."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            QApplication.quit()
            return
        log.error("mistake in the window", exc_info=(kind, error, trace))
        window.say(f"mistake in this window ({kind.__name__}: {error}); the measurement is not affected, see the log")

    sys.excepthook = hook


def fill_small_screen(window: MainWindow) -> None:
    """Maximise a window that was never sized by a person and that would reach beyond the screen."""
    free = window.screen().availableGeometry()
    if not window.settings.contains("geometry") and (
        window.width() > free.width() or window.height() + FRAME_PX > free.height()
    ):
        window.setWindowState(Qt.WindowState.WindowMaximized)


def run_window(
    microscope_path: Path | None = None, session: Path | None = None, recipe_path: Path | None = None
) -> int:
    """Open the main window and stay until it is closed; returns the exit code.

    Parameters
    ----------
    microscope_path : Path, optional
        Start an engine for this microscope file.
    session : Path, optional
        Session file: of the engine to attach to, or, with ``microscope_path``, of the engine to start.
    recipe_path : Path, optional
        Recipe to show in the form.
    """
    application = make_application()
    window = MainWindow(QSettings())
    show_mistakes(window)
    window.feed.opened.connect(lambda _: give_way())
    if recipe_path is not None:
        try:
            window.measure.set_recipe(load_recipe(recipe_path))
        except ProblemError as error:
            window.say(str(error))
    if microscope_path is not None:
        window.open_microscope(microscope_path, session)
    elif session is not None:
        window.attach(session)
    elif default_session_path().exists():
        window.offer_attach(default_session_path())
    else:
        window.welcome()
    fill_small_screen(window)
    window.show()
    window.views.live.get_ready(settle)
    try:
        return application.exec()
    finally:
        sys.excepthook = sys.__excepthook__
        priority.give_way_as_session(0)     # the terminal that this was started from goes on
