"""Ray, where workers are there: whether it is reached, in which version, and what it has left."""

from collections.abc import AsyncIterator

from gateway.doctor.finding import Finding, failed, ok, warning
from gateway.ray_settings import RaySettings
from gateway.timing import RAY_START
from gateway.workers.base import PoolUnavailable
from gateway.workers.ray.link import Link

_CHECK = "ray"


async def ray(settings: RaySettings) -> AsyncIterator[Finding]:
    """Yield what Ray says of itself. Nothing is started there."""
    link = Link(settings, lambda _: None, lambda: None)
    link.open()
    try:
        if not await link.reached(RAY_START):
            yield failed(
                _CHECK,
                f"{settings.address} cannot be reached: {link.why}",
                "Make this machine a node (ray start --address HOST:PORT --num-cpus 0), or correct [ray].",
            )
            return
        found = await link.ask({"do": "nodes"})
    except PoolUnavailable as error:
        yield failed(_CHECK, error.message, "Look at the log of Ray's head.")
        return
    finally:
        await link.close()
    free = ", ".join(
        f"{found['free'].get(name, 0):g} of {total:g} {name}"
        for name, total in sorted(found["resources"].items())
        if name in ("CPU", "GPU")
    )
    told = f"Ray {found['version']} answers, {len(found['nodes'])} nodes; free: {free or 'nothing'}"
    if len(found["nodes"]) > 1:
        yield ok(_CHECK, told)
    else:
        yield warning(
            _CHECK, told, "Add machines: with one node Ray takes more than the local pool, and gives nothing."
        )
