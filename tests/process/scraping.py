"""What Prometheus would see of a gateway."""

import asyncio
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from gateway.testing.process import GatewayProcess
from tests.process.observe import DEADLINE

AT = "metrics at "


class Page:
    """One scrape."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples: list[Sample] = [sample for family in self.families.values() for sample in family.samples]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of all samples of that name with at least these labels, 0.0 when there is none."""
        wanted = labels.items()
        return sum(sample.value for sample in self.samples if sample.name == name and wanted <= sample.labels.items())

    def labels(self, name: str, label: str) -> set[str]:
        """Return the values of a label that the samples of that name have."""
        return {sample.labels[label] for sample in self.samples if sample.name == name}


def address(gateway: GatewayProcess) -> tuple[str, int]:
    """Return host and port of the metrics, as the log says."""
    found = re.search(rf"{AT}(\S+)", gateway.log)
    assert found is not None, gateway.log
    url = urlsplit(found[1])
    assert url.hostname is not None
    assert url.port is not None
    return url.hostname, url.port


async def sent(gateway: GatewayProcess, request: bytes) -> bytes:
    """Send bytes to the port of the metrics and return all that comes back."""
    async with asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection(*address(gateway))
        try:
            writer.write(request)
            return await reader.read()
        finally:
            writer.close()


async def scraped(gateway: GatewayProcess) -> Page:
    """Scrape once."""
    head, _, body = (await sent(gateway, b"GET /metrics HTTP/1.1\r\nHost: gateway\r\n\r\n")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n"), head
    assert b"Content-Type: text/plain; version=0.0.4" in head
    assert f"Content-Length: {len(body)}".encode() in head
    return Page(body.decode())


async def scraped_when(gateway: GatewayProcess, holds: Callable[[Page], object]) -> Page:
    """Scrape until something holds, and return that page. Raises TimeoutError."""
    async with asyncio.timeout(DEADLINE):
        while True:
            page = await scraped(gateway)
            if holds(page):
                return page
