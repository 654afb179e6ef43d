"""One caller: opens sessions, calls, repeats what was cut off, and has every answer judged."""

import asyncio
import random
import time
import uuid
from typing import Any

from sessiongateway import (
    AsyncInference,
    NoWorkerAvailableError,
    RunResult,
    SessionGatewayError,
    SessionInfo,
    WorkerLostError,
)
from tools.chaos.judge import Judge
from tools.chaos.keeper import Keeper
from tools.chaos.known import Known
from tools.chaos.ledger import Ledger
from tools.chaos.lines import AGAIN, PATIENCE, Gateways, Lines
from tools.chaos.tally import Tally
from tools.chaos.troubles import Troubles

CALLS_OF_A_SESSION = 25
SESSION_TIMEOUT = 8
SHORT_TIMEOUT = 1
KEPT_TIMEOUT = 4
"""Of sessions that are kept by streams: these are renewed at a third of it, and may lose two gateways in between."""

LIVING_ON = 30.0
"""Seconds after a session was due, and the last trouble over, after which it is said to live on."""

_OVER = ("expired", "ended")


class Caller:
    """Runs sessions one after another until it is told to stop."""

    def __init__(self, gateways: Gateways, ledger: Ledger, tally: Tally, troubles: Troubles) -> None:
        self._gateways = gateways
        self._ledger = ledger
        self._tally = tally
        self._troubles = troubles
        self._judge = Judge(tally, troubles)
        self._keeper = Keeper(self._judge, tally, troubles)

    async def run(self, stop: asyncio.Event) -> None:
        """Play until `stop` is set."""
        async with Lines(self._gateways, self._tally) as self._lines:
            while not stop.is_set():
                await self._play_session(stop)

    async def _play_session(self, stop: asyncio.Event) -> None:
        lot = random.random()
        timeout = SHORT_TIMEOUT if lot < 0.2 else KEPT_TIMEOUT if lot < 0.35 else SESSION_TIMEOUT
        known = await self._open(timeout)
        if known is None:
            return
        self._tally.sessions += 1
        try:
            if timeout == SHORT_TIMEOUT:
                await self._let_expire(known)
            elif timeout == KEPT_TIMEOUT:
                await self._keep(known)
            else:
                await self._use(known, stop)
        except SessionGatewayError as error:
            self._judge.over(known, error)
            await self._look_back(known)

    async def _use(self, known: Known, stop: asyncio.Event) -> None:
        acts = (self._call, self._call, self._call, self._burst, self._walk, self._renew, self._plain)
        for _ in range(CALLS_OF_A_SESSION):
            if stop.is_set():
                break
            await random.choice(acts)(known)
        await self._end(known)

    async def _open(self, timeout: int) -> Known | None:
        token, sent = uuid.uuid4().hex, time.time()
        fields = {"app": "chaos", "function": "add", "input": self._input(token), "session": "new"}
        try:
            # No repeat: a cut "new" may have opened a session, which nobody knows and which expires by itself.
            answer = await self._lines.round().run(fields, session_timeout=timeout, timeout=PATIENCE)
        except SessionGatewayError as error:
            self._refused(token, error)
            await asyncio.sleep(0.1)
            return None
        assert answer.session is not None
        known = Known(answer.session_id, answer.session.worker_id, timeout)
        self._judge.state(known, [token], [answer], sent)
        return known

    async def _call(self, known: Known) -> None:
        token, sent = uuid.uuid4().hex, time.time()
        self._judge.state(known, [token], [await self._add(known, token)], sent)

    async def _burst(self, known: Known) -> None:
        """Send several at once: over several gateways, whichever comes first."""
        tokens, sent = [uuid.uuid4().hex for _ in range(random.randint(2, 4))], time.time()
        answers = await asyncio.gather(*(self._add(known, token) for token in tokens), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        self._tally.bursts += 1
        self._judge.state(known, tokens, [each for each in answers if isinstance(each, RunResult)], sent)
        self._judge.count(known, await self._get(known))

    async def _add(self, known: Known, token: str) -> RunResult:
        request_id = uuid.uuid4().hex
        fields = {"app": "chaos", "function": "add", "input": self._input(token), "session": known.id}

        async def add(client: AsyncInference) -> RunResult:
            answer: RunResult = await self._told(client.run(fields, request_id=request_id, timeout=PATIENCE))
            return answer

        return await self._lines.ask(add)

    async def _walk(self, known: Known) -> None:
        """Have it step by step, and from where it is cut off the result alone."""
        token, request_id, sent = uuid.uuid4().hex, uuid.uuid4().hex, time.time()
        fields = {"app": "chaos", "function": "walk", "input": self._input(token), "session": known.id}

        async def walk(client: AsyncInference) -> Any:
            steps: list[int] = []
            async with client.run_stream(fields, request_id=request_id, timeout=PATIENCE) as stream:
                async for output in stream:
                    steps.append(output["step"])
                    if steps != list(range(len(steps))):
                        self._tally.wrong("wrong_answers", f"{known.id}: steps {steps}")
            self._tally.streams += 1
            return stream.result

        self._judge.state(known, [token], [await self._lines.ask(lambda client: self._told(walk(client)))], sent)

    async def _renew(self, known: Known) -> None:
        sent = time.time()
        session = await self._lines.ask(lambda client: client.sessions.keepalive(known.id, timeout=PATIENCE))
        self._judge.window(known, session, sent)

    async def _plain(self, known: Known) -> None:
        """Call without a session, once: what is cut off is not repeated, as nobody would remember it."""
        token = uuid.uuid4().hex
        fields = {"app": "chaos", "function": "echo", "input": self._input(token)}
        try:
            answer = await self._lines.round().run(fields, timeout=PATIENCE)
        except (*AGAIN, WorkerLostError, NoWorkerAvailableError) as error:
            self._refused(token, error)
            return
        self._tally.calls += 1
        if answer.output["token"] != token:
            self._tally.wrong("wrong_answers", f"a plain call: {answer.output['token']} for {token}")

    async def _keep(self, known: Known) -> None:
        """Have it renewed over every gateway, and end it: all of them must tell so."""
        end = await self._keeper.keep(known, self._lines)
        if end != "caller":
            await self._look_back(known)

    async def _end(self, known: Known) -> None:
        await self._lines.ask(lambda client: client.sessions.end(known.id, timeout=PATIENCE))
        # The record is the next gateway's to show.
        info = await self._get(known)
        if info.status == "active":
            self._tally.wrong("living_on", f"{known.id}: active, though its end was answered")

    async def _let_expire(self, known: Known) -> None:
        info = await self._get(known)
        while info.status == "active":
            since = self._troubles.over_since(known.promised, time.time())
            if time.time() > since + LIVING_ON:
                self._judge.patience(known)
                return
            await asyncio.sleep(0.05)
            info = await self._get(known)
        self._tally.expiries += info.end_reason == "idle_timeout"
        await self._look_back(known)

    async def _look_back(self, known: Known) -> None:
        """Judge the record of a session that is over, as each gateway has it."""
        each = [await self._get(known, gateway) for gateway in range(len(self._gateways.each))]
        self._judge.finished(known, each[0])
        self._judge.agreement(known, each)

    async def _get(self, known: Known, gateway: int | None = None) -> SessionInfo:
        return await self._lines.ask(lambda client: client.sessions.get(known.id, timeout=PATIENCE), gateway)

    async def _told(self, run: Any) -> Any:
        """Await a run, and judge what it is refused with. Raises it on."""
        try:
            return await run
        except SessionGatewayError as error:
            self._judge.told(error)
            raise

    def _refused(self, token: str, error: SessionGatewayError) -> None:
        """Take note of a refusal of a call that is not sent again."""
        self._judge.told(error)
        if error.run_state == "not_started":
            self._ledger.told_not_started(token)

    def _input(self, token: str) -> dict[str, object]:
        return {"token": token, "ledger": str(self._ledger.path), "seconds": random.choice((0, 0, 0, 0.05, 0.3))}
