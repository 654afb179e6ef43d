"""Commands on standard input, answers on standard output, one JSON object a line each."""

import asyncio
import json
import sys
from typing import Any

from executor.commands import Commands, UnsupportedCommand
from executor.show import error_of

# A line may hold an input of several MiB.
_LINE_LIMIT = 64 * 1024 * 1024


class Executor:
    """Begins commands in the order in which they come, and answers each when it is done."""

    def __init__(self) -> None:
        self._commands = Commands()
        self._pending: dict[int, asyncio.Task[None]] = {}

    async def serve(self, lines: asyncio.StreamReader) -> None:
        """Serve until the end of the input, then cancel what is pending and close all."""
        while line := await lines.readline():
            if line.strip():
                self._begin(line)
        for task in list(self._pending.values()):
            task.cancel()
        await asyncio.gather(*self._pending.values(), return_exceptions=True)
        await self._commands.close_all()

    def _begin(self, line: bytes) -> None:
        number = None
        try:
            fields = json.loads(line)
            number = fields.pop("id")
            op = fields.pop("op")
        except (ValueError, KeyError, AttributeError, TypeError):
            _answer(number, "error", {"code": "UNSUPPORTED_COMMAND"})
            return
        if op == "cancel":
            self._cancel(number, fields)
            return
        task = asyncio.create_task(self._run(number, op, fields))
        self._pending[number] = task
        task.add_done_callback(lambda task: self._finish(number, task))

    async def _run(self, number: int, op: str, fields: dict[str, Any]) -> None:
        try:
            _answer(number, "ok", await self._commands.run(op, fields))
        except UnsupportedCommand:
            _answer(number, "error", {"code": "UNSUPPORTED_COMMAND"})
        except Exception as error:  # noqa: BLE001 - whatever a command raises is its answer
            _answer(number, "error", error_of(error))

    def _finish(self, number: int, task: asyncio.Task[None]) -> None:
        del self._pending[number]
        # Here, because a task that is cancelled before its first step never gets to answer by itself.
        if task.cancelled():
            _answer(number, "error", error_of(asyncio.CancelledError("cancelled")))

    def _cancel(self, number: int, fields: dict[str, Any]) -> None:
        task = self._pending.get(fields.get("target", 0))
        if task is not None:
            task.cancel()
        _answer(number, "ok", {})


def _answer(number: int | None, kind: str, body: dict[str, Any]) -> None:
    # ASCII only: also a lone surrogate, which UTF-8 does not have, comes through as its escape.
    sys.stdout.write(json.dumps({"id": number, kind: body}) + "\n")
    sys.stdout.flush()


async def _main() -> None:
    lines = asyncio.StreamReader(limit=_LINE_LIMIT)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    await Executor().serve(lines)


if __name__ == "__main__":
    asyncio.run(_main())
