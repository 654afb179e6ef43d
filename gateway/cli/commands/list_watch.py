"""`sgw session list --watch`."""

import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sessiongateway
from gateway.cli import problems
from gateway.cli.commands.watch import ended_by_interrupt
from gateway.cli.connection import Target
from gateway.cli.documents import document_of, document_of_event
from gateway.cli.exits import Exit
from gateway.cli.news import Interruption, Item, News
from sessiongateway import SessionInfo, WatchEvent

if TYPE_CHECKING:
    from gateway.cli.live_list import LiveList

_LARGEST_PAGE = 1000

_REFRESH = 1.0
"""Seconds between two looks, for what no event tells of: calls, and the time that is left."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Which sessions are listed."""

    status: str | None
    app: str | None
    wanted: int | None
    """How many at most; None: all."""

    def read(self, client: sessiongateway.Inference, at_most: int | None = None) -> tuple[list[SessionInfo], bool]:
        """Return the sessions, the newest first, and whether there are more."""
        bounds = [bound for bound in (self.wanted, at_most) if bound is not None]
        limit = min(bounds) if bounds else None
        # One more than is shown tells whether there are more.
        size = _LARGEST_PAGE if limit is None else min(limit + 1, _LARGEST_PAGE)
        pages = client.sessions.list(self.status, self.app, page_size=size)
        found = list(itertools.islice(pages, None if limit is None else limit + 1))
        return found[:limit], limit is not None and len(found) > limit

    def concerns(self, event: WatchEvent) -> bool:
        """Return whether the event puts a session into the listing or takes one out of it."""
        # Whatever ends was active before, and so was in a listing of those.
        return event.session is None or self.status in (None, "active", event.session.status)


def follow_list(target: Target, listing: Listing) -> int:
    """Show the listing and keep it up to date, until Ctrl-C. Returns the exit code."""
    in_place = target.output.for_people and os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")
    try:
        with target.client("") as client, News(client, listing.app) as news, ended_by_interrupt(news.events):
            if in_place:
                _redraw(client, listing, news)
            else:
                _write(target, client, listing, news)
    except KeyboardInterrupt:
        pass  # before the watch stood, or a second time
    return Exit.INTERRUPTED


def _write(target: Target, client: sessiongateway.Inference, listing: Listing, news: News) -> None:
    """Write a line for each session, then one for each change."""
    infos, more = listing.read(client)
    for info in infos:
        _write_session(target, info)
    stands = False
    for number, item in enumerate(news):
        if isinstance(item, Interruption):
            _write_interruption(target, item)
            stands = False
            continue
        again = item.session is None and stands
        stands = True
        if listing.concerns(item) and not (again and target.output.for_people):
            _write_event(target, item, {"more": more} if number == 0 else {})


def _write_session(target: Target, info: SessionInfo) -> None:
    target.output.show_event({"event": "listed", **document_of(info)}, lambda terminal: terminal.session_line(info))


def _write_event(target: Target, event: WatchEvent, more: Mapping[str, Any]) -> None:
    target.output.show_event({**document_of_event(event), **more}, lambda terminal: terminal.watch_event(event))


def _write_interruption(target: Target, item: Interruption) -> None:
    document: dict[str, Any] = {"event": "interrupted", "error": problems.of_gateway(item.error).bare_document()}
    target.output.show_event(document, lambda terminal: terminal.line(str(item)))


def _redraw(client: sessiongateway.Inference, listing: Listing, news: News) -> None:
    from gateway.cli.live_list import LiveList  # noqa: PLC0415 -- loads rich

    with LiveList() as screen:
        screen.listed(*listing.read(client, screen.rows))
        try:
            while True:
                _step(client, listing, news, screen)
        except EOFError:
            screen.over()


def _step(client: sessiongateway.Inference, listing: Listing, news: News, screen: "LiveList") -> None:
    """Wait for what is told next or for the next look, and draw what is then."""
    item: Item | None = news.wait(_REFRESH)
    while item is not None:
        screen.told(item, shown=isinstance(item, Interruption) or listing.concerns(item))
        item = news.wait(0)
    if not screen.lost:
        try:
            screen.listed(*listing.read(client, screen.rows))
        except sessiongateway.UnavailableError as error:
            screen.told(Interruption(error), shown=True)
    screen.draw()
