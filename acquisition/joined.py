"""Several series of one spectrometer as one scan: what :func:`~halidescope.acquisition.storage.open_scan` gives for a
power series.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.listing import Listing
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.scan import Scan, dark_of


def join(scans: Sequence[Scan], listing: Listing, source: str) -> Scan:
    """One scan of shape (n,) from several series, one after another, ``spectrum`` 0, 1, … its only axis.

    ``time_s`` stays the time since the light came on at the spectrum's own spot, so it begins anew with every spot;
    ``sample_power_uw`` and ``position_um`` tell the spots apart. ``metadata["parts"]`` holds the parts' own metadata.

    Raises
    ------
    ScanFileError
        There is none, or their wavelength axes differ.
    """
    if not scans:
        raise ScanFileError(f"{source}: none of its parts was measured")
    first = scans[0]
    if any(not np.array_equal(scan.wavelength_nm, first.wavelength_nm) for scan in scans):
        raise ScanFileError(f"{source}: its parts have different wavelength axes; open them one by one")
    starts = np.cumsum([0, *(len(scan.valid) for scan in scans)])

    def together(name: str) -> Any:
        return np.concatenate([getattr(scan, name) for scan in scans])

    def read(point: tuple[int, ...] | None) -> NDArray[np.unsignedinteger]:
        if point is None:
            return together("spectra")
        which = int(np.searchsorted(starts, point[0], side="right")) - 1
        return scans[which].spectrum(point[0] - int(starts[which]))

    def release() -> None:
        for scan in scans:
            scan.close()

    numbers = (
        "valid", "time_s", "time_se_s", "position_um", "exposure_s", "sample_power_uw", "dose_j_cm2", "saturated",
    )  # fmt: skip
    darks = np.concatenate([scan.dark.spectra for scan in scans])
    shifted = [(int(start), scan) for start, scan in zip(starts[:-1], scans, strict=True)]
    return Scan(
        source=source, kind=listing.kind, wavelength_nm=first.wavelength_nm,
        axes={"spectrum": np.arange(starts[-1], dtype=np.float64)}, dark=dark_of(darks, first.dark.exposure_s),
        events=tuple(event for scan in scans for event in scan.events), results=None,
        metadata={
            **first.metadata, "kind": listing.kind, "title": listing.title, "recipe": listing.recipe,
            "plan_hash": listing.plan_hash, "parts": [dict(scan.metadata) for scan in scans],
            "state": scans[-1].metadata["state"], "reason": scans[-1].metadata["reason"],
            "ended_at": scans[-1].metadata["ended_at"],
        },
        damaged=tuple(start + point for start, scan in shifted for point in scan.damaged),
        missing={start + point: why for start, scan in shifted for point, why in scan.missing.items()
                 if point < len(scan.valid)},
        repeats=tuple(repeat for scan in scans for repeat in scan.repeats), read_spectra=read, release=release,
        more={
            name: np.concatenate([scan.more[name] for scan in scans])
            for name in first.more if all(name in scan.more for scan in scans)
        }, **{name: together(name) for name in numbers},
    )
