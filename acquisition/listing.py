"""The list file of a recipe made of several measurements: one small NeXus file that holds its parts by external links.

``FILE.nxs`` beside ``FILE-1.nxs``, ``FILE-2.nxs``, …: every part is a whole file of its own, readable without the list.
"""

import os
from pathlib import Path

import h5py
import msgspec

from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.records import SCHEMA_VERSION
from halidescope.acquisition.vetting import Holds, vet


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What a list file says.

    ``parts`` are names of files beside it, those that exist; ``main`` is the one that is shown unless another is asked
    for, counted from 1 like the names.
    """

    kind: str
    title: str
    recipe: dict[str, object]
    plan_hash: str
    planned: int                 # how many parts the recipe has
    parts: dict[int, str]
    main: int

    def paths(self, beside: Path) -> dict[int, Path]:
        """The parts' files, by number, for a list file at ``beside``."""
        return {number: beside.with_name(name) for number, name in self.parts.items()}


def write_listing(out: Path, listing: Listing) -> None:
    """Write, or replace, a list file, whole or not at all.

    Raises
    ------
    ScanFileError
        It cannot be written; the parts are not touched.
    """
    part = out.with_name(out.name + ".part")
    try:
        with h5py.File(part, "w", libver=("v108", "v110")) as file:
            file.attrs.update(NX_class="NXroot", default=f"part_{listing.main}", creator="halidescope")
            for number, name in listing.parts.items():
                file[f"part_{number}"] = h5py.ExternalLink(name, "/entry")
            own = file.create_group("halidescope")
            own.attrs.update(NX_class="NXcollection", schema_version=SCHEMA_VERSION)
            own["list"] = msgspec.json.encode(listing).decode()
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        os.replace(part, out)
    except (OSError, RuntimeError) as error:      # h5py reports a full disk as either
        raise ScanFileError(f"{out}: cannot be written ({error}); its parts are safe beside it") from error


def read_listing(path: Path) -> Listing | None:
    """What a list file says; None if the file is something else.

    Raises
    ------
    ScanFileError
        It is a list file, but damaged.
    """
    try:
        with h5py.File(path, "r") as file:
            if "halidescope/list" not in file:
                return None
            listing = msgspec.json.decode(file["halidescope/list"][()], type=Listing)
    except OSError:
        return None      # no HDF5: whoever opens it as something else says what is wrong with it
    except (KeyError, ValueError, TypeError, RuntimeError, msgspec.MsgspecError) as error:
        raise ScanFileError(f"{path}: damaged list of measurements ({error}); its parts are beside it") from error
    for name in listing.parts.values():
        if Path(name).name != name:
            raise ScanFileError(f"{path}: its part {name!r} leads out of its folder; it is not opened")
    return listing


def parts_in(path: Path) -> list[Path]:
    """The measurements behind a file: its parts if it is a list, else itself."""
    listing = read_listing(path) if path.is_file() and vet(path) is Holds.LIST else None
    return [path] if listing is None else list(listing.paths(path).values())
