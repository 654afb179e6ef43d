"""The data directory and what is in it."""

import os
import stat
from pathlib import Path

from gateway.doctor.finding import Finding, failed, ok, skipped, warning

_REMOTE = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "fuse.sshfs", "virtiofs"}
_IN_MEMORY = {"tmpfs", "ramfs"}

_TOO_LITTLE = 64 * 2**20
_LITTLE = 2**30
"""Bytes. The store's log alone may take some tens of megabytes while calls run."""

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def present(data_dir: Path) -> Finding:
    """Whether the directory is there and can be written to, or can be made."""
    check = "data directory"
    above = _nearest(data_dir)
    if not above.is_dir():
        return failed(check, f"{above} is not a directory", "Remove it, or name another one: --data-dir")
    if not os.access(above, os.R_OK | os.W_OK | os.X_OK):
        do = f"Run this as the gateway's user, or give the directory to it: chown -R USER {above}"
        return failed(check, f"{above} cannot be read and written by this user", do)
    if above != data_dir:
        return ok(check, f"{data_dir} is not there yet; a gateway makes it")
    return ok(check, str(data_dir))


def permissions(data_dir: Path) -> Finding:
    """Whether nobody but the gateway's user can look into it."""
    check = "permissions"
    if not data_dir.is_dir():
        return skipped(check, f"there is no {data_dir}")
    try:
        owner, mode = data_dir.stat().st_uid, data_dir.stat().st_mode
        files = [path for path in sorted(data_dir.glob("sessions.db*")) if path.stat().st_mode & _OTHERS]
    except OSError as error:
        return failed(check, f"{error.filename}: {error.strerror}", "Run this as the gateway's user.")
    return _of_directory(data_dir, owner, mode) or _of_files(data_dir, files)


def _of_directory(data_dir: Path, owner: int, mode: int) -> Finding | None:
    check = "permissions"
    if owner != os.getuid():
        do = "Run this, and the gateway, as the user to whom it belongs."
        return warning(check, f"{data_dir} belongs to the user with the number {owner}", do)
    if mode & stat.S_IWOTH:
        return failed(check, f"everybody may write to {data_dir}, and so have code run", f"chmod 700 {data_dir}")
    if mode & _OTHERS:
        return warning(check, f"others may look into {data_dir} (mode {mode & 0o777:04o})", f"chmod 700 {data_dir}")
    return None


def _of_files(data_dir: Path, files: list[Path]) -> Finding:
    check = "permissions"
    if files:
        names = ", ".join(path.name for path in files)
        return warning(check, f"only the directory keeps others from {names}", f"chmod 600 {data_dir}/sessions.db*")
    return ok(check, "nobody but its user can look into the data directory")


def file_system(data_dir: Path, mounts: str | None = None) -> Finding:
    """Whether the store's locks hold there, and what is written stays. `mounts` is the text of mountinfo."""
    check = "file system"
    kind = _kind(_nearest(data_dir), _mounts() if mounts is None else mounts)
    if kind in _REMOTE:
        do = "Put the data directory on a local file system: SQLite's locks and logs do not work over a network."
        return failed(check, f"{data_dir} is on {kind}", do)
    if kind in _IN_MEMORY:
        do = "Put it on a disk, unless deployed apps may go with the machine's next start."
        return warning(check, f"{data_dir} is in memory ({kind})", do)
    return ok(check, kind or "unknown")


def room(data_dir: Path, free: int | None = None, inodes: int | None = None) -> Finding:
    """Whether there is room for the store and for what workers write. `free` in bytes."""
    found = os.statvfs(_nearest(data_dir))
    free = found.f_bavail * found.f_frsize if free is None else free
    inodes = found.f_favail if inodes is None else inodes
    do = "Make room, or move the data directory: a store that cannot write answers STORE_UNAVAILABLE."
    text = f"{free / 2**20:,.0f} MiB free"
    # Some file systems count no inodes.
    if free < _TOO_LITTLE or (found.f_files and inodes == 0):
        return failed("room", text if inodes else "no more files can be made", do)
    return warning("room", text, do) if free < _LITTLE else ok("room", text)


def _nearest(path: Path) -> Path:
    """Return the path, or what is there of it."""
    path = path.absolute()
    while not os.path.lexists(path):
        path = path.parent
    return path


def _mounts() -> str:
    return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")


def _kind(path: Path, mounts: str) -> str:
    resolved = str(path.resolve())
    best, kind = "", ""
    for line in mounts.splitlines():
        fields, _, more = line.partition(" - ")
        point = fields.split(" ")[4].encode("latin-1", "replace").decode("unicode_escape")
        inside = resolved == point or resolved.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, more.split(" ")[0]
    return kind
