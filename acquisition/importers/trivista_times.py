"""When each spectrum of a TriVista file was taken: the time stamps of its frames.

RosettaSciIO takes the first step for all of them; the file has a Windows file time for each.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.importers.xml_texts import parse_xml

TICKS_PER_S = 10_000_000       # Windows file time: 100 ns


def trivista_times(path: Path) -> NDArray[np.float64]:
    """Seconds since the first of every frame of the file's first document; empty if it does not tell all of them."""
    frames = parse_xml(path.read_bytes(), str(path)).findall("./Documents/Document[1]/Data/Frame")
    try:
        ticks = [int(frame.attrib["TimeStamp"]) for frame in frames]
    except (KeyError, ValueError):
        return np.empty(0)
    return np.array([one - ticks[0] for one in ticks], np.float64) / TICKS_PER_S
