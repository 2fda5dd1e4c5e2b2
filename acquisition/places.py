"""Where a measurement's journal may lie: on a disk of this computer, never on a network drive.

SQLite's write-ahead log needs shared memory, which network file systems do not give, and a network that goes away must
not take a measurement with it. So the journal of a file on a network drive is kept in this user's own data folder, the
finished file is written there too, and then copied and compared.
"""

import hashlib
import os
import re
import sys
from pathlib import Path

import psutil
from platformdirs import user_data_path

_NETWORK = re.compile(
    r"^(nfs\d?|cifs|smb\d?|smbfs|afpfs|webdav|davfs|ncpfs|afs|ceph|glusterfs|lustre|beegfs|9p|gpfs|"
    r"fuse\.(sshfs|davfs2?|rclone|glusterfs|ceph.*|gvfsd-fuse|s3fs|juicefs))$", re.IGNORECASE,
)


def mounts() -> list[tuple[str, str]]:
    """Every mounted volume: where, and its file system (with the word ``remote`` on Windows)."""
    return [(part.mountpoint, "smb" if "remote" in part.opts.split(",") else part.fstype)
            for part in psutil.disk_partitions(all=True)]


def on_network(folder: Path) -> bool:
    """Whether a folder is on a network drive, as far as the operating system tells."""
    text = str(folder)
    if sys.platform == "win32" and text.startswith("\\\\"):
        return True
    path = os.path.realpath(text)
    longest, kind = -1, ""
    for mountpoint, file_system in mounts():
        inside = path == mountpoint or path.startswith(mountpoint.rstrip("/\\") + os.sep)
        if inside and len(mountpoint) >= longest:
            longest, kind = len(mountpoint), file_system
    return _NETWORK.match(kind) is not None


def spool() -> Path:
    """This user's own folder for journals of files elsewhere, and for what had to be rescued; made if need be."""
    folder = user_data_path("halidescope") / "measurements"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def spooled(out: Path) -> Path:
    """Where, in the spool, the file ``out`` is made: its name, and a mark of its folder, so that two never meet."""
    mark = hashlib.sha256(str(out.parent.absolute()).encode()).hexdigest()[:8]
    return spool() / f"{mark}-{out.name}"


def journal_in_spool(lost: Path) -> Path:
    """A free name in the spool for a journal whose own folder is gone."""
    first = spooled(lost)
    number = 1
    while (path := first if number == 1 else first.with_name(f"{number}-{first.name}")).exists():
        number += 1
    return path
