"""A plot's data as text that a spreadsheet reads: tab-separated columns with units, and tables of images."""

from collections.abc import Mapping

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray


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
