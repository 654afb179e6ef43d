"""What Ray runs for each worker: an actor that looks after one process, and is not that process itself."""

import asyncio
import sys
from collections.abc import Mapping
from typing import Any

import ray

from gateway.timing import ACTOR_LINGER
from gateway.workers.ray.supervision import Supervision, tell_to_standard_output


class WorkerActor:
    """One worker. Its methods run on Ray's loop, and their work on the supervision's own."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        if sys.version_info < (3, 14):
            # Ray's is uvloop's, with which only uvloop's own loops can start processes. Ray's loop runs already.
            asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
        tell_to_standard_output()
        node = ray.get_runtime_context().get_node_id()
        self._supervision = Supervision(spec, ray.util.get_node_ip_address(), node)
        self._going = asyncio.ensure_future(self._go())

    async def start(self) -> Mapping[str, Any]:
        return await self._supervision.run(self._supervision.start())

    async def describe(self) -> Mapping[str, Any]:
        return await self._supervision.run(self._supervision.describe())

    async def about(self, session_id: str, epoch: int) -> Mapping[str, Any] | None:
        return await self._supervision.run(_done(self._supervision.about, session_id, epoch))

    async def leased(self, session_id: str, epoch: int) -> None:
        await self._supervision.run(_done(self._supervision.leased, session_id, epoch))

    async def signal(self, number: int, epoch: int) -> None:
        await self._supervision.run(_done(self._supervision.signal, number, epoch))

    async def exceed(self, limit: str, epoch: int) -> None:
        await self._supervision.run(_done(self._supervision.exceed, limit, epoch))

    async def stop(self, epoch: int) -> None:
        await self._supervision.run(_done(self._supervision.stop, epoch))

    async def ended(self) -> Mapping[str, Any]:
        return await self._supervision.run(self._supervision.ended())

    async def cleared(self) -> None:
        await self._supervision.run(self._supervision.cleared())

    async def _go(self) -> None:
        """End the actor when it has nothing more to look after, whether or not a gateway is there to ask for that."""
        await self.cleared()
        await asyncio.sleep(ACTOR_LINGER)
        ray.get_runtime_context().current_actor.__ray_terminate__.remote()


async def _done(function: Any, *arguments: object) -> Any:
    return function(*arguments)
