"""One run in one scene: callers and watches for some seconds, while things are done to the gateways."""

import asyncio
import random
import time
from collections.abc import Sequence

from sessiongateway import AsyncInference, SessionInfo
from tools.chaos.caller import LIVING_ON, SESSION_TIMEOUT, Caller
from tools.chaos.ledger import Ledger
from tools.chaos.leftovers import count_orphans
from tools.chaos.lines import Lines
from tools.chaos.scene import APPS, Scene
from tools.chaos.tally import Tally
from tools.chaos.watcher import Watcher

_TRIES = 5


def play(scene: Scene, ledger: Ledger, seconds: float) -> None:
    """Play, and count what went wrong. Raises Missing, and what starting a gateway raises."""
    try:
        scene.start()
        asyncio.run(_let_loose(scene, ledger, seconds))
        scene.end_sessions()
        count_orphans(scene.data_dirs, APPS["chaos"], scene.tally)
        ledger.judge(scene.tally)
    finally:
        scene.stop()


async def _let_loose(scene: Scene, ledger: Ledger, seconds: float) -> None:
    stop = asyncio.Event()
    watchers = [Watcher(address, scene.api_key, scene.tally) for address in scene.each]
    watching = [asyncio.create_task(watcher.run()) for watcher in watchers]
    try:
        for watcher in watchers:
            await watcher.stands.wait()
        callers = [Caller(scene, ledger, scene.tally, scene.troubles) for _ in range(scene.callers)]
        running = [asyncio.create_task(caller.run(stop)) for caller in callers]
        await _strike(scene, time.monotonic() + seconds)
        stop.set()
        await asyncio.gather(*running)
        sessions = await _finished(scene, scene.tally)
        for watcher in watchers:
            await watcher.compare(sessions)
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)


async def _strike(scene: Scene, until: float) -> None:
    """Do something at random moments until then."""
    names = list(scene.strikes)
    # Each kind in turn at first, so that a short run has them all.
    first = _TRIES * random.sample(names, len(names))
    while time.monotonic() < until or first:
        await asyncio.sleep(random.uniform(0.5, 2.0))
        await asyncio.to_thread(scene.strike, first.pop() if first else random.choice(names))
        # What could not be done, such as the kill of a worker where there is none, is tried again.
        first = [name for name in first if not scene.tally.strikes[name]]


async def _finished(scene: Scene, tally: Tally) -> Sequence[SessionInfo]:
    """Return all sessions, once the last one is over: nobody calls them any more. Counts those that live on."""
    until = time.monotonic() + SESSION_TIMEOUT + LIVING_ON
    async with Lines(scene, tally) as lines:
        while True:
            sessions = await lines.ask(_all_sessions)
            active = [session.id for session in sessions if session.status == "active"]
            if not active or time.monotonic() > until:
                break
            await asyncio.sleep(0.5)
    for session_id in active:
        tally.wrong("living_on", f"{session_id}: active, and nobody has called for long")
    return sessions


async def _all_sessions(client: AsyncInference) -> list[SessionInfo]:
    return [session async for session in client.sessions.list(page_size=1000)]
