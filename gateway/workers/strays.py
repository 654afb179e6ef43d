"""Workers of sessions that no record knows: said in the log before they are ended, as nobody else can say it."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Collection
from pathlib import Path

from google.protobuf.message import DecodeError

from gateway.timing import ADOPTION_PATIENCE
from gateway.worker.process import WorkerDirectory
from gateway.workers.frames import FrameError, FrameReader
from gateway.workers.runtime import Part, recorded_process
from sessiongateway.worker.v1 import worker_pb2 as pb

logger = logging.getLogger("gateway.workers")

_READ = 65536


async def report_strays(directory: Path, known: Collection[str], part: Part) -> int:
    """Log the sessions of the workers in a part of a directory that are alive and not among the known ones.

    Returns how many such workers there are.
    """
    strays = await asyncio.to_thread(alive, directory, known, part)
    for entry, session_id in zip(strays, await asyncio.gather(*map(_session_of, strays)), strict=True):
        if session_id:
            labels = {"session_id": session_id, "worker_id": entry.name}
            logger.error("session %s is not on record: its worker %s is ended", session_id, entry.name, extra=labels)
    return len(strays)


def alive(directory: Path, known: Collection[str], part: Part) -> list[Path]:
    """Return the directories, in this part, of workers that are alive and not among the known ones."""
    # All but a few are known, of thousands: what is done for each is done in C, or the event loop's thread would wait.
    names = set(os.listdir(directory)).difference(known)  # noqa: PTH208  # no path for each
    unknown = [directory / name for name in names if part.has(name)]
    return [entry for entry in unknown if recorded_process(WorkerDirectory(entry)) is not None]


async def _session_of(entry: Path) -> str:
    """Return the session that a worker says it belongs to, "" if it belongs to none or does not answer."""
    reader = FrameReader()
    with contextlib.suppress(OSError, TimeoutError, FrameError, DecodeError):
        async with asyncio.timeout(ADOPTION_PATIENCE):
            stream, writer = await asyncio.open_unix_connection(str(WorkerDirectory(entry).socket))
            try:
                while data := await stream.read(_READ):
                    for frame in reader.feed(data):
                        return pb.FromWorker.FromString(frame).ready.session_id
            finally:
                writer.close()
    return ""
