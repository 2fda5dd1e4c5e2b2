"""A measurement ready to be published: one ZIP of the file, its description, a README and checksums.

Repositories that give DOIs (Zenodo and others) want data that explain themselves in ten years without their program.
"""

import zipfile
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from halidescope.acquisition.description import description_of
from halidescope.acquisition.quantities import axis_label
from halidescope.acquisition.results_file import ENDING, take_results_along
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.storage import file_hash, save_scan
from halidescope.acquisition.tables import write_csv
from halidescope.acquisition.transport import header_of


def write_bundle(scan: Scan, path: Path) -> None:
    """Write a scan as ``NAME.nxs`` and ``NAME.csv`` with ``description.json``, ``README.md`` and ``SHA256SUMS``.

    Results of analyses that lie beside the scan's file go with it.

    Raises
    ------
    OSError, ScanFileError
        Something cannot be written.
    """
    name = Path(scan.source).name.removesuffix(".journal").rsplit(".", 1)[0]
    with TemporaryDirectory(prefix="halidescope-", dir=path.parent) as text:
        folder = Path(text)
        save_scan(scan, folder / f"{name}.nxs")
        write_csv(scan, folder / f"{name}.csv")
        count = take_results_along(scan, folder / f"{name}{ENDING}")
        about = {**description_of(header_of(scan)), **_facts(scan)}
        (folder / "description.json").write_bytes(msgspec.json.format(msgspec.json.encode(about), indent=2) + b"\n")
        (folder / "README.md").write_text(_readme(scan, name, about, count), "utf-8")
        files = sorted(folder.iterdir())
        sums = "".join(f"{file_hash(file)}  {file.name}\n" for file in files)
        (folder / "SHA256SUMS").write_text(sums, encoding="ascii")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in (*files, folder / "SHA256SUMS"):
                packed = zipfile.ZIP_STORED if file.suffix == ".nxs" else zipfile.ZIP_DEFLATED
                archive.write(file, f"{name}/{file.name}", compress_type=packed)


def _facts(scan: Scan) -> dict[str, Any]:
    return {
        "kind": scan.kind, "simulated": scan.simulated, "spectra": int(scan.valid.sum()),
        "damaged": list(scan.found_damaged),
        "axes": {name: len(axis) for name, axis in scan.axes.items()}, "channels": len(scan.wavelength_nm),
        "wavelength_nm": [float(scan.wavelength_nm[0]), float(scan.wavelength_nm[-1])],
        "started_at": scan.metadata["started_at"], "ended_at": scan.metadata["ended_at"],
        "state": scan.metadata["state"], "instruments": scan.metadata["identities"],
        "calibration": scan.metadata["calibration"],
        "versions": scan.metadata["versions"], "imported": scan.metadata.get("imported"),
        "processing": scan.metadata.get("processing", []), "history": scan.metadata.get("history", []),
    }


def _readme(scan: Scan, name: str, about: dict[str, Any], analyses: int) -> str:
    axes = ", ".join(f"{axis_label(axis)}: {count}" for axis, count in about["axes"].items())
    rows = [
        f"# {about['title']}" + (" (SIMULATED)" if scan.simulated else ""), "",
        f"Photoluminescence {scan.kind}: {about['spectra']} spectra of {about['channels']} channels from "
        f"{about['wavelength_nm'][0]:.2f} to {about['wavelength_nm'][1]:.2f} nm; {axes}.",
        *([f"Measured {about['started_at']} to {about['ended_at']} by {about.get('operator', 'an unnamed operator')}."]
          if about["started_at"] else []), "",
        "## Files", "",
        f"- `{name}.nxs`: NeXus/HDF5 (NXoptical_spectroscopy). Raw counts in `entry/data/intensity`, nothing "
        "subtracted, axes with units beside them; times, positions, power, dose (J/cm^2) of each point in "
        "`entry/halidescope`.",
        f"- `{name}.csv`: the same as a table, one row per spectrum, units in the header.",
        *([f"- `{name}{ENDING}`: {analyses} analys{'i' if analyses == 1 else 'e'}s; in each `run_N` its results per "
           "point (`data`), single numbers with errors (`numbers`), endmembers, and in `process/about` settings, "
           "versions, and the hashes of what it was made from."] if analyses else []),
        "- `description.json`: sample, instruments, calibration, versions, history.",
        "- `SHA256SUMS`: check with `sha256sum -c SHA256SUMS`.", "", "## Reading", "", "```python", "import h5py",
        f'with h5py.File("{name}.nxs") as file:', '    counts = file["entry/data/intensity"][()]',
        '    wavelength_nm = file["entry/data/wavelength"][()]', "```", "",
        f"Written by Halidescope {version('halidescope')}. State of the measurement: {about['state']}.", "",
    ]
    return "\n".join(rows)
