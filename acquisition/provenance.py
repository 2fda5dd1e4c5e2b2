"""Where results come from: hashes of the inputs, versions of the programs, the settings."""

import hashlib
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from halidescope.acquisition.analysis_file import AnalysisFile

PROGRAMS = ("halidescope", "numpy", "scipy", "numba", "h5py", "matplotlib")


def provenance(inputs: Iterable[Path], settings: AnalysisFile) -> dict[str, object]:
    """For JSON: ``inputs`` with SHA-256 and size, ``versions``, ``settings`` with every default written out."""
    return {
        "inputs": [
            {"file": str(path), "bytes": path.stat().st_size, "sha256": sha256(path)}
            for path in dict.fromkeys(inputs) if path.is_file()
        ],
        "versions": {name: version(name) for name in PROGRAMS} | {"python": ".".join(map(str, sys.version_info[:3]))},
        "settings": settings.model_dump(mode="json"),
    }  # fmt: skip


def sha256(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
