"""Trained emulators on disk: what took half a minute of simulation is there at once the next time.

Kept are the simulated curves and the calibration; the rest is fitted again, which takes a second. Files that cannot be
read, or are of another version, count as absent.
"""

import hashlib
import logging
import os
import zipfile
from dataclasses import asdict, replace
from pathlib import Path

import msgspec
import numpy as np
import platformdirs

from halidescope.analysis.kmc.config import KmcConfig
from halidescope.analysis.kmc.emulator import Emulator, Prior, fit
from halidescope.gui.kmc_process import CACHE_VARIABLE

log = logging.getLogger(__name__)

VERSION = 1         # of what is simulated; another one trains anew
FILES_KEPT = 24


def default_folder() -> Path:
    """This user's cache; the variable HALIDESCOPE_CACHE names another."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else Path(platformdirs.user_cache_path("halidescope", appauthor=False)) / "emulators"


def path_of(folder: Path, config: KmcConfig, prior: Prior) -> Path:
    """Where the emulator of a configuration is or would be."""
    key = msgspec.json.encode([VERSION, config.to_mapping(), asdict(prior)], order="sorted")
    return folder / f"{hashlib.sha256(key).hexdigest()[:24]}.npz"


def load(folder: Path, config: KmcConfig, prior: Prior) -> Emulator | None:
    """The emulator of a configuration, or None if it is not there."""
    path = path_of(folder, config, prior)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            designs, curves, levels = (stored[name] for name in ("designs", "simulated_ev", "levels"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        log.warning("emulator %s: damaged (%s); training again", path, error)
        return None
    return replace(fit(config, prior, designs, curves), levels=levels)


def store(folder: Path, emulator: Emulator) -> None:
    """Keep an emulator; the oldest of too many are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    path = path_of(folder, emulator.config, emulator.prior)
    part = folder / f"{path.stem}.{os.getpid()}.part"
    with part.open("wb") as file:
        np.savez_compressed(
            file, allow_pickle=False, designs=emulator.designs, simulated_ev=emulator.simulated_ev,
            levels=emulator.levels,
        )
    os.replace(part, path)
    for old in sorted(folder.glob("*.npz"), key=lambda one: one.stat().st_mtime)[:-FILES_KEPT]:
        old.unlink(missing_ok=True)
