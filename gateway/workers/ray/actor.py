"""What Ray runs for each worker: an actor that looks after one process, and is not that process itself."""

import asyncio
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

import ray

from gateway.timing import ACTOR_LINGER, ACTOR_NEWS
from gateway.workers.ray.resting import MainThreadRest
from gateway.workers.ray.supervision import Supervision, tell_to_standard_output

ACTOR_THREADS = 16
"""On which Ray calls its methods. A gateway that watches a worker has one of them, and one that was killed while it did
has it for ACTOR_NEWS.
"""


class WorkerActor:
    """One worker. Its methods wait for what is done on the supervision's own loop, none for longer than a start."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._rest = MainThreadRest()
        if sys.version_info < (3, 14):
            # Ray's is uvloop's, with which only uvloop's own loops can start processes.
            asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
        tell_to_standard_output()
        context = ray.get_runtime_context()
        self._me = context.current_actor
        self._supervision = Supervision(spec, ray.util.get_node_ip_address(), context.get_node_id())
        threading.Thread(target=self._leave, name="leave", daemon=True).start()

    def start(self) -> Mapping[str, Any]:
        answer = self._supervision.run(self._supervision.start())
        # Not before: one that is only just placed has to say at once whether it is.
        self._rest.begin()
        return answer

    def describe(self) -> Mapping[str, Any]:
        return self._supervision.run(self._supervision.describe())

    def about(self, session_id: str, epoch: int) -> Mapping[str, Any] | None:
        about: Mapping[str, Any] | None = self._supervision.run(_done(self._supervision.about, session_id, epoch))
        return about

    def leased(self, session_id: str, epoch: int) -> None:
        self._supervision.run(_done(self._supervision.leased, session_id, epoch))

    def signal(self, number: int, epoch: int) -> None:
        self._supervision.run(_done(self._supervision.signal, number, epoch))

    def exceed(self, limit: str, epoch: int) -> None:
        self._supervision.run(_done(self._supervision.exceed, limit, epoch))

    def stop(self, epoch: int) -> None:
        self._supervision.run(_done(self._supervision.stop, epoch))

    def ended(self) -> Mapping[str, Any] | None:
        """Return how the worker's process has ended; None if it has not within ACTOR_NEWS."""
        try:
            return self._supervision.run(self._supervision.ended(), ACTOR_NEWS)
        except TimeoutError:
            return None

    def cleared(self) -> bool:
        """Return whether nothing is left of the worker, as soon as that is so, and after ACTOR_NEWS at the latest."""
        try:
            self._supervision.run(self._supervision.cleared(), ACTOR_NEWS)
        except TimeoutError:
            return False
        return True

    def _leave(self) -> None:
        """End the actor when it has nothing more to look after, whether or not a gateway is there to ask for that."""
        self._supervision.run(self._supervision.cleared())
        time.sleep(ACTOR_LINGER)
        self._me.__ray_terminate__.remote()


async def _done(function: Any, *arguments: object) -> Any:
    return function(*arguments)
