"""The sandbox of one worker, made by bubblewrap: a file system of its own, no other processes, no network."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import gateway
import sessiongateway

_SYSTEM = ("/usr",)
_MERGED = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
"""Links into /usr on most systems, directories on others."""

_CONFIGURATION = (
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/pki",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
)
"""What programs look up and nobody keeps to himself. Not the machine's users, names and keys."""

_ISOLATION = (
    "--unshare-user",
    "--unshare-ipc",
    "--unshare-pid",
    "--unshare-net",
    "--unshare-uts",
    "--unshare-cgroup-try",
    "--die-with-parent",
    *("--cap-drop", "ALL"),
)


FILES_IN_MEMORY = 64 * 1024 * 1024
"""Bytes of the files in each of the two directories of a sandbox that are in memory. Whoever needs more room has the
temporary directory, whose files are counted."""

# bwrap ends with its parent, and all that is in the sandbox with it. That must be whoever the gateway signals, and not
# the zygote, which workers outlive.
_KEEPER = ("/bin/sh", "-c", '"$@"; exit $?', "sh")


def sandboxed(bubblewrap: str, command: Sequence[str], directory: str, app_directory: str) -> list[str]:
    """Return the command that runs another one in a sandbox. What it sees of the file system: the system's programs and
    libraries, this interpreter and its packages, the app, all read-only; the working and the temporary directory of the
    worker, if there is one; and a /tmp, a /dev and a /proc of its own.
    """
    arguments = [*_KEEPER, bubblewrap, *_ISOLATION]
    for path in _MERGED:
        arguments += ["--symlink", str(Path(path).readlink()), path] if Path(path).is_symlink() else _shown(path)
    for path in (*_SYSTEM, *_CONFIGURATION):
        arguments += _shown(path)
    arguments += [
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        *_in_memory("/dev/shm"),
        "--remount-ro",
        "/dev",
        *_in_memory("/tmp"),
    ]
    for path in needed(app_directory):
        arguments += _shown(path)
    for name in ("work", "tmp"):
        if directory:
            arguments += ["--bind", f"{directory}/{name}", f"{directory}/{name}"]
    # Inside, the root is a file system in memory: what is not bound cannot be filled.
    return [*arguments, "--remount-ro", "/", "--chdir", f"{directory}/work" if directory else "/", "--", *command]


def _in_memory(path: str) -> list[str]:
    # Nobody counts these files, and without a size each place would hold half of the machine's memory.
    return ["--size", str(FILES_IN_MEMORY), "--tmpfs", path]


def needed(app_directory: str) -> list[str]:
    """Return the paths besides the system's that a worker of this interpreter reads."""
    paths = (*map(str, _interpreter()), *without_homes(sys.path), *packages(), app_directory)
    return list(_outermost(path for path in paths if path and Path(path).exists()))


def packages() -> list[str]:
    """Return the directories of what a worker imports of the gateway."""
    return [str(Path(package.__path__[0])) for package in (gateway, sessiongateway)]


def without_homes(paths: Iterable[str]) -> list[str]:
    """Return the paths but for those that those packages were found in: more may be there than anyone should see."""
    homes = {str(Path(package).parent) for package in packages()}
    return [path for path in paths if path not in homes or path.endswith("site-packages")]


def _interpreter() -> Iterator[Path]:
    for prefix in (Path(sys.prefix), Path(sys.base_prefix)):
        yield from (prefix, prefix.resolve())
    # An environment's Python is a link to another one, perhaps by way of more links.
    link = Path(sys.executable)
    while link.is_symlink():
        yield link
        link = link.parent / link.readlink()


def _outermost(paths: Iterable[str]) -> Iterator[str]:
    """Yield the paths, but for those inside another one, or inside the system's."""
    kept = [Path(path) for path in _SYSTEM]
    for path in sorted({Path(path) for path in paths}):
        if not any(path.is_relative_to(other) for other in kept):
            kept.append(path)
            yield str(path)


def _shown(path: str) -> list[str]:
    return ["--ro-bind-try", path, path]
