"""Where the docks are: the first arrangement, another for narrow screens, and remembering what a person made of it."""

from collections.abc import Mapping

from qtpy.QtCore import QByteArray, QSettings, Qt
from qtpy.QtWidgets import QApplication, QDockWidget, QMainWindow, QTabWidget, QWidget

from halidescope.gui.theme import px

LAYOUT_VERSION = 5      # of the docks; another one forgets what was remembered
LEFT, MIDDLE, RIGHT = ("Measure", "Queue"), ("Live",), ("Instruments", "Log")
FRONT = ("Measure", "Series", "Instruments")


class Docking:
    """The docks of a window.

    Parameters
    ----------
    window : QMainWindow
    panels : mapping of str to QWidget
        Name, which is title and what is remembered, and what is in it. ``Measure`` and ``Queue`` go left,
        ``Instruments`` and ``Log`` right, ``Live`` and everything else in the middle.
    """

    def __init__(self, window: QMainWindow, panels: Mapping[str, QWidget]) -> None:
        self._window = window
        self.remembered = False
        self._before: QByteArray | None = None      # the docks behind a page that covers them
        window.setDockNestingEnabled(True)
        window.setTabPosition(Qt.DockWidgetArea.AllDockWidgetAreas, QTabWidget.TabPosition.North)
        self.docks: dict[str, QDockWidget] = {}
        for name, panel in panels.items():
            dock = QDockWidget(name, window)
            dock.setObjectName(name)
            dock.setWidget(panel)
            self.docks[name] = dock
        self.arrange()

    def __getitem__(self, name: str) -> QDockWidget:
        return self.docks[name]

    def go_to(self, name: str) -> None:
        """Put a dock in front, and the keyboard on the first thing in it that takes keys."""
        dock = self.docks[name]
        dock.show()
        dock.raise_()
        panel = dock.widget()
        has_it = QApplication.focusWidget()
        if has_it is not None and panel.isAncestorOf(has_it):
            return
        takes_keys = (one for one in panel.findChildren(QWidget) if one.isEnabled() and one.isVisibleTo(panel)
                      and one.focusPolicy().value & Qt.FocusPolicy.TabFocus.value)
        next(takes_keys, panel).setFocus(Qt.FocusReason.ShortcutFocusReason)

    def arrange(self) -> None:
        """Put the docks where they were before anyone moved them."""
        window, docks = self._window, self.docks
        for dock in docks.values():
            dock.setFloating(False)
            window.removeDockWidget(dock)
        below = [name for name in docks if name not in (*LEFT, *MIDDLE, *RIGHT)]
        window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, docks["Measure"])
        window.splitDockWidget(docks["Measure"], docks["Live"], Qt.Orientation.Horizontal)
        window.splitDockWidget(docks["Live"], docks["Instruments"], Qt.Orientation.Horizontal)
        window.splitDockWidget(docks["Live"], docks[below[0]], Qt.Orientation.Vertical)
        for first, others in (("Measure", LEFT[1:]), (below[0], below[1:]), ("Instruments", RIGHT[1:])):
            for name in others:
                window.tabifyDockWidget(docks[first], docks[name])
        for dock in docks.values():
            dock.show()
        for name in FRONT:
            docks[name].raise_()
        self._below = below[0]
        self.proportion()

    def proportion(self) -> None:
        """Give the docks their first sizes: narrow at the sides, the views in the middle."""
        docks, wide = self.docks, self._window.width()
        across = [docks["Measure"], docks["Live"], docks["Instruments"]]
        left, right = px(280), px(262)
        self._window.resizeDocks(across, [left, max(wide - left - right, 300), right], Qt.Orientation.Horizontal)
        high = max(self._window.height() - 100, 300)
        share = [int(0.44 * high), int(0.56 * high)]
        self._window.resizeDocks([docks["Live"], docks[self._below]], share, Qt.Orientation.Vertical)

    def remember(self, settings: QSettings) -> None:
        """Keep size, place and docks."""
        settings.setValue("geometry", self._window.saveGeometry())
        settings.setValue("docks", self._window.saveState(LAYOUT_VERSION))

    def recall(self, settings: QSettings) -> None:
        """Restore what was kept; of another version, nothing."""
        geometry, state = settings.value("geometry"), settings.value("docks")
        if geometry is not None:
            self._window.restoreGeometry(geometry)
        else:
            self._window.resize(1600, 1000)
        self.remembered = state is not None and self._window.restoreState(state, LAYOUT_VERSION)

    def cover(self, covered: bool) -> None:
        """Hide all docks behind a page that takes their place, or bring them back as they were."""
        if covered:
            self._before = self._window.saveState(LAYOUT_VERSION)
            for dock in self.docks.values():
                dock.hide()
        elif self._before is not None:
            self._window.restoreState(self._before, LAYOUT_VERSION)
            self._before = None

    @property
    def covered(self) -> bool:
        """True while a page takes the docks' place."""
        return self._before is not None
