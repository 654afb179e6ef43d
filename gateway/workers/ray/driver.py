"""The driver: the process beside a gateway that speaks with Ray, so that the gateway need not.

`python -m gateway.workers.ray.driver FD`: FD is a connected socket, over which both sides say JSON objects, one a line;
the first one says which cluster. With the path of a socket to be made in place of FD it serves many, one after another
or at a time, for as long as its standard input is open: tests make a hundred pools, and each would wait for Ray.

A library that ends its process when its server is away, that has threads of its own and takes a hundred megabytes is so
kept out of the process that answers calls (docs/adr/0043-workers-on-ray.md).
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gateway.timing import RAY_ANSWER, RAY_AWAY, RAY_PLACED, RAY_PROBE
from gateway.worker.orphan import die_with_parent

os.environ |= {"RAY_USAGE_STATS_ENABLED": os.environ.get("RAY_USAGE_STATS_ENABLED", "0"), "RAY_DEDUP_LOGS": "0"}

import ray  # reads its environment when it is loaded
from ray.exceptions import RayError, RuntimeEnvSetupError

from gateway.workers.ray.actor import ACTOR_THREADS, WorkerActor
from gateway.workers.ray.bringing import packed

_WORKER = "wrk_"
_LONGEST_LINE = 16 * 1024 * 1024

_NOT_INSTALLED = "PackagesNotInstalled"
_LONGEST_REASON = 2000

Say = Callable[[Mapping[str, Any]], None]


class Driver:
    """What one gateway has asked of Ray."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._actors: dict[str, Any] = {}
        self._started: set[str] = set()
        """Those that have been placed: whatever else is to be done with them, they do."""
        self._creating: dict[str, bool] = {}
        """Those that Ray is only just told of, and whether they have been given up by now."""
        self._watched: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def do(self, order: Mapping[str, Any]) -> None:
        """Begin what a gateway wants."""
        task = asyncio.get_running_loop().create_task(self._do(order))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Watch nothing any more. The actors live on."""
        for task in (*self._tasks, *self._watched.values()):
            task.cancel()

    async def _do(self, order: Mapping[str, Any]) -> None:
        answer: Any = None
        try:
            answer = await getattr(self, f"_do_{order['do']}")(order)
        except (OSError, RayError, ValueError) as error:  # TimeoutError is an OSError
            answer = {"error": f"{type(error).__name__}: {error}"}
        if "ask" in order:
            self._say({"answer": order["ask"], "with": answer})

    async def _do_start(self, order: Mapping[str, Any]) -> None:
        worker_id: str = order["id"]
        self._creating[worker_id] = False
        try:
            actor = await asyncio.to_thread(_created, order)
            self._actors[worker_id] = actor
            if self._creating.pop(worker_id):
                await self._do_stop({"id": worker_id, "epoch": sys.maxsize})
            answer = await actor.start.remote()
        except RuntimeEnvSetupError as error:
            answer = _failed(error)
        except (OSError, RayError, ValueError) as error:
            answer = {"interrupted": f"{type(error).__name__}: {error}"}
        self._creating.pop(worker_id, None)
        self._started.add(worker_id)
        self._say({"is": "started", "id": worker_id, **answer})
        self._watch(worker_id)

    async def _do_describe(self, order: Mapping[str, Any]) -> Mapping[str, Any]:
        actor = await asyncio.to_thread(_created, order)
        self._actors[order["id"]] = actor
        try:
            answer: Mapping[str, Any] = await actor.describe.remote()
        except RuntimeEnvSetupError as error:
            answer = _failed(error)
        finally:
            self._watch(order["id"])
        self._started.add(order["id"])
        return answer

    async def _do_stop(self, order: Mapping[str, Any]) -> None:
        if order["id"] in self._creating:
            self._creating[order["id"]] = True
            return
        actor = await self._actor(order["id"])
        if actor is None:
            self._say({"is": "cleared", "id": order["id"]})
        elif order["id"] in self._actors and order["id"] not in self._started and await _pending(actor):
            await asyncio.to_thread(ray.kill, actor, no_restart=True)
            self._say({"is": "cleared", "id": order["id"]})
        else:
            self._watch(order["id"])
            await actor.stop.remote(order["epoch"])

    async def _do_signal(self, order: Mapping[str, Any]) -> None:
        await self._tell(order, "signal", order["number"], order["epoch"])

    async def _do_exceed(self, order: Mapping[str, Any]) -> None:
        await self._tell(order, "exceed", order["limit"], order["epoch"])

    async def _do_leased(self, order: Mapping[str, Any]) -> None:
        await self._tell(order, "leased", order["session"], order["epoch"])

    async def _do_find(self, order: Mapping[str, Any]) -> Mapping[str, Any] | None:
        actor = await self._actor(order["id"])
        if actor is None:
            return None
        async with asyncio.timeout(RAY_ANSWER):
            about: Mapping[str, Any] | None = await actor.about.remote(order["session"], order["epoch"])
        if about is not None:
            self._started.add(order["id"])
            self._watch(order["id"])
        return about

    async def _do_forget(self, order: Mapping[str, Any]) -> None:
        watch = self._watched.pop(order["id"], None)
        if watch is not None:
            watch.cancel()
        self._actors.pop(order["id"], None)
        self._started.discard(order["id"])

    async def _do_sweep(self, order: Mapping[str, Any]) -> Mapping[str, str]:
        """End the owner's workers but for some, and return the sessions of those that are ended, by worker."""
        names = await asyncio.to_thread(ray.util.list_named_actors)
        others = [name for name in names if name.startswith(_WORKER) and name not in set(order["keep"])]
        found = await asyncio.gather(*(self._swept(name, order["owner"], leased=order["leased"]) for name in others))
        return {name: session for name, session in zip(others, found, strict=True) if session is not None}

    async def _do_nodes(self, order: Mapping[str, Any]) -> Mapping[str, Any]:
        resources = await asyncio.to_thread(ray.cluster_resources)
        free = await asyncio.to_thread(ray.available_resources)
        nodes = [node["NodeManagerAddress"] for node in await asyncio.to_thread(ray.nodes) if node["Alive"]]
        return {"version": ray.__version__, "nodes": nodes, "resources": resources, "free": free}

    async def _swept(self, name: str, owner: str, *, leased: bool) -> str | None:
        try:
            actor = await self._actor(name)
            if actor is None:
                return None
            async with asyncio.timeout(RAY_ANSWER):
                about = await actor.about.remote("", 0)
            if about is None or about["owner"] != owner or (about["session"] and not leased):
                return None
            self._watch(name)
            await actor.stop.remote(sys.maxsize)
        except (RayError, TimeoutError):
            return None
        return str(about["session"])

    async def _tell(self, order: Mapping[str, Any], method: str, *arguments: object) -> None:
        actor = await self._actor(order["id"])
        if actor is not None:
            await getattr(actor, method).remote(*arguments)

    async def _actor(self, worker_id: str) -> Any:
        if worker_id not in self._actors:
            with contextlib.suppress(ValueError):
                self._actors[worker_id] = await asyncio.to_thread(ray.get_actor, worker_id)
                self._started.add(worker_id)
        return self._actors.get(worker_id)

    def _watch(self, worker_id: str) -> None:
        if worker_id in self._actors and worker_id not in self._watched:
            task = asyncio.get_running_loop().create_task(self._watching(worker_id, self._actors[worker_id]))
            self._watched[worker_id] = task

    async def _watching(self, worker_id: str, actor: Any) -> None:
        try:
            while (ended := await actor.ended.remote()) is None:
                pass
            self._say({"is": "ended", "id": worker_id, **ended})
            while not await actor.cleared.remote():
                pass
            actor.__ray_terminate__.remote()
        except RayError:
            # The actor is gone, and nobody knows how its worker ended.
            self._say({"is": "ended", "id": worker_id, "exit_code": None, "signal": None, "limit": ""})
        self._say({"is": "cleared", "id": worker_id})
        self._watched.pop(worker_id, None)
        self._actors.pop(worker_id, None)
        self._started.discard(worker_id)


def _created(order: Mapping[str, Any]) -> Any:
    """Create an actor. Raises OSError, ValueError and RayError."""
    options: dict[str, Any] = dict(order["options"])
    spec: dict[str, Any] = dict(order["spec"])
    if order.get("upload"):
        # Not by a runtime environment: Ray takes no directory of this machine in that of a single actor.
        spec["brought"] = packed(Path(order["upload"]))
    return (
        ray.remote(WorkerActor)
        .options(
            name=order["id"],
            lifetime="detached",
            # A call runs at most once, and nothing is recreated silently.
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=ACTOR_THREADS,
            scheduling_strategy="SPREAD",
            **options,
        )
        .remote(spec)
    )


def _failed(error: RuntimeEnvSetupError) -> Mapping[str, Any]:
    """Return what is told of an app whose packages cannot be had: of all that pip says, what it calls an error."""
    said = str(error)
    errors = [line.strip() for line in said.splitlines() if line.lstrip().startswith("ERROR:")]
    message = "the packages of [ray] pip cannot be installed: " + " ".join(errors or [said])
    return {"failed": {"type": _NOT_INSTALLED, "message": message[:_LONGEST_REASON]}}


async def _pending(actor: Any) -> bool:
    """Whether an actor has not been placed, or does not answer yet."""
    answer = actor.about.remote("", 0)
    done, _ = await asyncio.wait([asyncio.ensure_future(_answered(answer))], timeout=RAY_PLACED)
    return not done


async def _answered(reference: Any) -> None:
    with contextlib.suppress(RayError):
        await reference


class Probe:
    """Asks Ray's head again and again whether it is there, on a thread that may be held up by that."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._asked = self._heard = time.monotonic()
        self._away = False

    async def run(self) -> None:
        threading.Thread(target=self._ask, name="probe", daemon=True).start()
        while True:
            await asyncio.sleep(RAY_PROBE)
            away = time.monotonic() - self._heard > RAY_AWAY
            if away != self._away:
                self._away = away
                self._say({"is": "away" if away else "back"})

    def _ask(self) -> None:
        while True:
            with contextlib.suppress(Exception):
                ray.nodes()
                self._heard = time.monotonic()
            time.sleep(RAY_PROBE)


async def _serve_one(sock: socket.socket) -> None:
    await _serve(*await asyncio.open_connection(sock=sock, limit=_LONGEST_LINE))


async def _serve_many(path: str) -> None:
    server = await asyncio.start_unix_server(_serve, path, limit=_LONGEST_LINE)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:

    def say(what: Mapping[str, Any]) -> None:
        writer.write(json.dumps(what).encode() + b"\n")

    greeting = await reader.readline()
    if not greeting:
        writer.close()
        return
    hello = json.loads(greeting)
    try:
        await asyncio.to_thread(_connect, hello["address"], hello["namespace"])
    except (ConnectionError, OSError, RuntimeError, ValueError, RayError) as error:
        say({"is": "refused", "why": f"{type(error).__name__}: {error}"})
        await writer.drain()
        writer.close()
        return
    driver, probe = Driver(say), asyncio.create_task(Probe(say).run())
    say({"is": "up", "version": ray.__version__})
    with contextlib.suppress(OSError):
        while line := await reader.readline():
            driver.do(json.loads(line))
    probe.cancel()
    driver.close()
    writer.close()


def _connect(address: str, namespace: str) -> None:
    if ray.is_initialized():
        return
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal():
        # Ray tries for a minute to reach what does not exist, and does not say why it cannot.
        socket.create_connection((host.strip("[]"), int(port)), RAY_ANSWER).close()
    ray.init(
        address=address,
        namespace=namespace,
        log_to_driver=False,
        configure_logging=False,
        logging_level=logging.ERROR,
    )


def main(where: str) -> None:
    """Serve the gateway at the other end of a socket until it is gone, or all that come to a path."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches the whole group; the gateway decides
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve_one(socket.socket(fileno=int(where))) if where.isdecimal() else _serve_many(where))
    os._exit(0)  # Ray would have a last word with everyone; what is left of this driver its head clears away


if __name__ == "__main__":
    main(sys.argv[1])
