"""Where the workers of one gateway process are, and what of all that is there it looks after."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import gateway
import sessiongateway
from gateway.board import Member
from gateway.model import new_worker_id
from gateway.share import WHOLE, Owning, Share
from gateway.workers.base import WorkerLease
from gateway.workers.room import Room
from gateway.workers.runtime import Part, clear_leftovers, library, prepare_directory
from gateway.workers.strays import alive, report_strays
from gateway.workers.version import Version


class Place:
    """The workers' directory, with the room for workers."""

    def __init__(
        self,
        directory: Path,
        max_workers: int,
        share: Share = WHOLE,
        member: Member | None = None,
        owning: Owning | None = None,
    ) -> None:
        """With a `share` and a `member` this process is one of several, and `max_workers` is for all of them. `owning`:
        by whose rule an id says whose a worker is, when not by the share's.
        """
        self.share = share
        self._owning = owning or share
        self.room = Room(max_workers, share, member)
        self.library = library(directory, share)
        self.strays = 0
        """Workers that were alive at the start, in this part, and that no session needs."""
        self._directory = directory
        self._part = Part(directory, share, "" if member is None else member.generation)

    def new_worker_id(self) -> str:
        """Return an id for a worker of this gateway process."""
        return self._owning.drawn(new_worker_id)

    async def prepare(self) -> None:
        """Make the directory. Raises PermissionError when it is somebody else's."""
        await asyncio.to_thread(prepare_directory, self._directory)

    def own(self, leases: Sequence[WorkerLease]) -> list[WorkerLease]:
        """Return the leases of sessions that are this process's."""
        return [lease for lease in leases if self.share.owns(lease.session_id)]

    async def keep(self, worker_id: str) -> None:
        """Note that a worker was adopted, so that no other process removes it."""
        await asyncio.to_thread(self._part.keep, worker_id)

    async def tidy(self, adopted: Collection[str], leases: Sequence[WorkerLease]) -> None:
        """End and clear away what was left in this part but for the adopted workers and what others may adopt."""
        known = {*adopted, *(lease.worker_id for lease in leases if not self.share.owns(lease.session_id))}
        self.strays = await report_strays(self._directory, known, self._part)
        await self.clear(known)
        self.library.mkdir()
        for package in (gateway, sessiongateway):
            source = Path(package.__path__[0])
            (self.library / source.name).symlink_to(source)

    async def clear(self, keep: Collection[str]) -> None:
        """End and clear away all in this part but these workers."""
        await asyncio.to_thread(clear_leftovers, self._directory, keep, self._part)

    async def orphans(self, workers: Mapping[str, object]) -> int:
        """Count the workers in this part that are alive and not among these, which may change meanwhile."""
        before = set(workers)
        try:
            found = await asyncio.to_thread(alive, self._directory, before, self._part)
        except OSError:
            return 0  # the directory is not there, or not any more
        return sum(entry.name not in workers for entry in found)

    def tell(self, workers: int, waiting: int, versions: Iterable[Version]) -> bool:
        """Show the other processes how it stands here. Returns whether one should make way for another process."""
        counts = [(version.starting, len(version.idle)) for version in versions]
        starting, idle = sum(starting for starting, _ in counts), sum(idle for _, idle in counts)
        self.room.tell(workers, idle, max(0, waiting - starting))
        if not self.room.wanted():
            return False
        self.room.lend()
        return not waiting and self.room.wanted()
