"""A list of sessions on a terminal that is drawn again in place."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from gateway.cli.news import Interruption, Item
from gateway.cli.terminal import sessions_table, watch_line
from gateway.cli.text import visible
from sessiongateway import SessionInfo

_AROUND = 5
"""Lines that are no session: headings, what happened last, and the one where the cursor stands."""


class LiveList:
    """The list and, below it, what happened last. A context manager; at its end the list stays on the screen."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, emoji=False)
        self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")
        self._infos: Sequence[SessionInfo] = ()
        self._more = False
        self._last: Text | None = None
        self._over = False
        self.lost: Interruption | None = None
        """Why the gateway is out of reach; None while it is not."""

    @property
    def rows(self) -> int:
        """How many sessions there is room for, as the terminal is now."""
        return max(1, self._console.height - _AROUND)

    def listed(self, infos: Sequence[SessionInfo], more: bool) -> None:
        """Show these from now on."""
        self._infos, self._more = infos, more
        self.draw()

    def told(self, item: Item, *, shown: bool) -> None:
        """Take note of what happened; say so unless it is none of this list's."""
        if isinstance(item, Interruption):
            self.lost = item
            return
        self.lost = None
        if shown and item.session is not None:
            self._last = watch_line(item)

    def draw(self) -> None:
        """Draw all anew."""
        self._live.update(self._picture(), refresh=True)

    def over(self) -> None:
        """Leave the list as it is."""
        self._over = True
        self.draw()

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def _picture(self) -> RenderableType:
        lines: list[RenderableType] = [sessions_table(self._infos[: self.rows], wrap=False)]
        if not self._infos:
            lines = [Text("no sessions", style="dim")]
        if self._more or len(self._infos) > self.rows:
            lines.append(Text("there are more", style="dim"))
        if self.lost is not None:
            lines.append(Text(visible(str(self.lost)), style="red", no_wrap=True, overflow="ellipsis"))
        elif self._last is not None:
            lines.append(_one_line(self._last))
        elif not self._over:
            lines.append(Text("watching; Ctrl-C ends it", style="dim"))
        return Group(*lines)


def _one_line(text: Text) -> Text:
    line = text.copy()
    line.no_wrap, line.overflow = True, "ellipsis"
    return line
