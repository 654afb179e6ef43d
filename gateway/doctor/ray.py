"""Ray, where workers are there: whether it is reached, in which version, and what it has left."""

import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

from gateway.doctor.finding import Finding, Status, failed, ok, skipped, warning
from gateway.ray_settings import RaySettings
from gateway.timing import RAY_START
from gateway.workers.base import PoolUnavailable
from gateway.workers.ray.link import Link

_CHECK = "ray"


def of_the_nodes() -> Iterator[Finding]:
    """Yield what this machine cannot answer for workers on others."""
    for check, whose in (
        ("processes", "and count there"),
        ("memory", "and take theirs; what is free there, Ray knows: ray status"),
        ("isolation", "as Ray's user (process); apps that ask for user or sandbox do not start"),
    ):
        yield skipped(check, f"workers run on the nodes of Ray, {whose}")


def imported_here(finding: Finding) -> Finding:
    """Return what was found of an app on this machine, as far as it tells of the nodes, which import it themselves."""
    if finding.status is Status.OK:
        return replace(finding, message=f"{finding.message}, as imported on this machine; Ray's nodes do it themselves")
    if finding.status is Status.FAILED:
        do = f"If it lacks only what the nodes have, all is well. {finding.do}"
        return warning(finding.check, f"on this machine, where its workers are not: {finding.message}", do)
    return finding


def _where(settings: RaySettings) -> str:
    here = settings.address == "auto"
    return "the cluster that this machine is a node of (auto)" if here else settings.address


async def ray(settings: RaySettings) -> AsyncIterator[Finding]:
    """Yield what Ray says of itself. Nothing is started there."""
    link = Link(settings, lambda _: None, lambda: None)
    # What the link logs is in the findings.
    logger = logging.getLogger("gateway")
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(silent := logging.NullHandler())
    link.open()
    try:
        if not await link.answered(RAY_START):
            yield failed(
                _CHECK,
                f"{_where(settings)} does not answer: {link.why}",
                "Make this machine a node (ray start --address HOST:PORT --num-cpus 0), or correct [ray].",
            )
            return
        found = await link.ask({"do": "nodes"})
    except PoolUnavailable as error:
        yield failed(_CHECK, error.message, "Look at the log of Ray's head.")
        return
    finally:
        await link.close()
        logger.removeHandler(silent)
        logger.propagate = propagate
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
