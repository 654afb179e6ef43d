"""Looks at a gateway: its sessions and apps over its API, its numbers over the metrics port, memory on this machine."""

import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import sessiongateway
from gateway.cli.top.page import Page, page_of
from gateway.cli.top.picture import Look
from gateway.worker.process import WorkerDirectory
from sessiongateway import SessionInfo

GUESSED_PORT = 9464
"""What the manual serves metrics on."""

_MOST_SESSIONS = 1000
"""That are read at each look: one page."""

_PATIENCE = 5.0
"""Seconds for a request."""

_LAST_PORT = 65535

_LARGEST_PAGE = 32 * 1024 * 1024
"""Bytes of a page of metrics. A hundred apps take one."""


class NoMetrics(Exception):
    """There are no metrics to be had there; the text says why."""


class Metrics:
    """A metrics port."""

    def __init__(self, url: str) -> None:
        self.url = url
        # What http_proxy says is not meant for a port of this machine, or one beside it.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def answers(self) -> bool:
        """Return whether there is a page of a gateway."""
        try:
            self.read()
        except NoMetrics:
            return False
        return True

    def read(self) -> Page:
        """Return the page as it is now. Raises NoMetrics."""
        at, wall = time.monotonic(), time.time()
        try:
            with self._opener.open(self.url, timeout=_PATIENCE) as answer:
                text = answer.read(_LARGEST_PAGE).decode("utf-8")
        except (OSError, ValueError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise NoMetrics(f"no metrics from {self.url}: {reason}") from error
        try:
            page = page_of(text, at, wall)
        except ValueError as error:
            raise NoMetrics(f"no metrics from {self.url}: {error}") from error
        if next(page.series.of("sgw_build_info"), None) is None:
            raise NoMetrics(f"what answers at {self.url} is no Session Gateway")
        return page


class Source:
    """One gateway."""

    def __init__(self, client: sessiongateway.Inference, metrics: Metrics | None, runtime: Path) -> None:
        """`runtime` is the directory of the workers, if the gateway is on this machine."""
        self._client = client
        self._metrics = metrics
        self._runtime = runtime

    def look(self) -> Look:
        """Return what is there now. Raises SessionGatewayError when the gateway's API does not answer."""
        found = list(
            islice(
                self._client.sessions.list("active", page_size=_MOST_SESSIONS, timeout=_PATIENCE), _MOST_SESSIONS + 1
            )
        )
        apps = list(self._client.apps.list(timeout=_PATIENCE))
        sessions = found[:_MOST_SESSIONS]
        look = Look(
            at=time.monotonic(),
            sessions=sessions,
            more=len(found) > _MOST_SESSIONS,
            apps=apps,
            memory=_memory(self._runtime, sessions),
        )
        if self._metrics is None:
            return replace(look, notes=[OFF])
        try:
            return replace(look, page=self._metrics.read())
        except NoMetrics as error:
            return replace(look, notes=[str(error)])


OFF = "No rates of apps: start it with --metrics-address :9464, or name its port: --metrics :PORT"


def found(address: str, configured: str | None) -> Metrics | None:
    """Return the metrics port of a gateway: the one that the settings name, else where one is likely, if it answers.

    None if nothing names one and none answers. `configured` is `metrics.address`.
    """
    host = host_of(address)
    named = url_of(configured, host)
    for url in (named, f"http://{host}:{GUESSED_PORT}/metrics"):
        if url is not None and (metrics := Metrics(url)).answers():
            return metrics
    # It is asked again at each look, and each says why it has nothing.
    return Metrics(named) if named else None


def host_of(address: str) -> str:
    """Return the host of a gateway's address."""
    return address.removeprefix("dns:").lstrip("/").rpartition(":")[0] or "127.0.0.1"


def metrics_named(text: str, address: str) -> Metrics:
    """Return the metrics port that somebody names: a URL, HOST:PORT, or :PORT of the host of the gateway at `address`.

    Raises ValueError if it is none of them.
    """
    if re.match(r"https?://", text, re.IGNORECASE):
        return Metrics(text)
    host, colon, port = text.rpartition(":")
    if "/" in text or not (colon and port.isascii() and port.isdecimal() and 0 < int(port) <= _LAST_PORT):
        raise ValueError("must be HOST:PORT, :PORT or a URL, such as http://127.0.0.1:9464/metrics")
    beside = host_of(address)
    url = url_of(f"{host or beside}:{port}", beside)
    assert url is not None
    return Metrics(url)


def url_of(address: str | None, host: str) -> str | None:
    """Return the URL of a metrics port that listens there; one that listens everywhere is reached as the gateway is."""
    if not address or address.endswith(":0"):
        return None
    bound, _, port = address.rpartition(":")
    if bound == "":
        bound = "127.0.0.1"
    elif bound in ("0.0.0.0", "[::]"):
        bound = host
    return f"http://{bound}:{port}/metrics"


def _memory(runtime: Path, sessions: Iterable[SessionInfo]) -> dict[str, int]:
    """Return the resident bytes of the workers that are on this machine, and that this user may look at."""
    size = os.sysconf("SC_PAGE_SIZE")
    memory = {}
    for info in sessions:
        if not re.fullmatch(r"\w+", info.worker_id):
            continue
        try:
            pid = WorkerDirectory(runtime / info.worker_id).pid.read_text().split()[0]
            memory[info.worker_id] = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * size
        except (OSError, ValueError, IndexError):
            continue  # elsewhere, somebody else's, or gone
    return memory
