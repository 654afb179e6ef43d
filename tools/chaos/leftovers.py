"""What must be gone when all gateways and sessions have ended."""

from collections.abc import Iterable
from pathlib import Path

from gateway.workers.runtime import runtime_directory
from tools.chaos.tally import Tally
from tools.fleet.processes_of import mark_on


def count_orphans(data_dirs: Iterable[Path], app: Path, tally: Tally) -> None:
    """Count the directories of workers, and the processes that have to do with the app."""
    for data_dir in data_dirs:
        runtime = runtime_directory(data_dir)
        for entry in runtime.glob("wrk_*") if runtime.exists() else ():
            tally.wrong("orphans", f"directory {entry.name}")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"gateway.worker" in command and str(app).encode() in command:
            told = command.replace(b"\0", b" ").decode(errors="replace").strip()
            tally.wrong("orphans", f"process {process.name}, {_parent_and_mark(int(process.name))}: {told}")


def _parent_and_mark(pid: int) -> str:
    """Return what says where a process comes from."""
    try:
        parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
    except OSError:
        return "which has ended since"
    return f"a child of {parent}, {'not a worker' if mark_on(pid) is None else 'of a worker'}"
