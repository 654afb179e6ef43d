"""`make conformance`: plays the scenarios in every language, prints the matrix, writes docs/conformance.md."""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from tools.conformance import report
from tools.conformance.executor import Executor, ExecutorError
from tools.conformance.gateways import Gateways
from tools.conformance.languages import NAMES, Language
from tools.conformance.play import play
from tools.conformance.report import Outcome
from tools.conformance.scenarios import Scenario, ScenarioError, load
from tools.conformance.values import Mismatch
from tools.paths import ROOT

PAGE = ROOT / "docs" / "conformance.md"


class Runner:
    """Plays scenarios, with so many languages at a time, each on gateways of its own."""

    def __init__(
        self,
        scenarios: Sequence[Scenario],
        reasons: dict[tuple[str, str], str],
        *,
        insist: bool,
        jobs: int = 1,
        make_gateways: Callable[[], Gateways] = Gateways,
    ) -> None:
        self._scenarios = scenarios
        self._reasons = reasons
        self._insist = insist
        self._jobs = asyncio.Semaphore(jobs)
        self._make_gateways = make_gateways
        self._plays = 0

    async def run(self, languages: Sequence[Language]) -> dict[str, list[Outcome]]:
        """Play everything and return the outcomes in the order of the scenarios."""
        found = await asyncio.gather(*map(self._run_language, languages))
        return {language.name: outcomes for language, outcomes in zip(languages, found, strict=True)}

    async def _run_language(self, language: Language) -> list[Outcome]:
        async with self._jobs, AsyncExitStack() as stack:
            try:
                executor = await language.start()
            except ExecutorError as error:
                print(report.absent(language, str(error)))
                return [Outcome(report.FAILED if self._insist else report.ABSENT, "not built")] * len(self._scenarios)
            gateways = self._make_gateways()
            stack.push_async_callback(gateways.close)
            outcomes = []
            try:
                for scenario in self._scenarios:
                    if not executor.usable:
                        executor = await language.start()
                    outcomes.append(await self._play(language, scenario, executor, gateways))
            except ExecutorError as error:
                why = f"its executor does not start any more: {error}"
                print(report.absent(language, why))
                outcomes += [Outcome(report.FAILED, why)] * (len(self._scenarios) - len(outcomes))
            finally:
                await executor.kill()
            return outcomes

    async def _play(self, language: Language, scenario: Scenario, shared: Executor, gateways: Gateways) -> Outcome:
        self._plays += 1
        label = f"{scenario.name}-{self._plays}"
        executor = shared
        problem = None
        try:
            executor = await language.start() if scenario.own_executor else shared
            await play(scenario, executor, gateways, label)
        except (Mismatch, ExecutorError) as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 - one scenario that cannot be played must not keep back the others
            problem = f"it cannot be played: {error!r}"
        finally:
            # What a scenario that failed has left open must not disturb the next one.
            if problem is not None or executor is not shared:
                await executor.kill()
        outcome = report.judged(problem, self._reasons.get((language.name, scenario.name)))
        print(report.line(language.name, scenario, outcome), flush=True)
        return outcome


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if every client that is built does what it must, 1 if one does not, 2 if nothing could be played."""
    options = _parser().parse_args(arguments)
    try:
        everything = load()
        reasons = report.expected_failures(everything, NAMES)
    except ScenarioError as error:
        print(error, file=sys.stderr)
        return 2
    wanted = options.scenario
    scenarios = [
        each for each in everything if not wanted or any(part in f"{each.theme} {each.name}" for part in wanted)
    ]
    if not scenarios:
        print(f"no scenario has {' or '.join(wanted)} in its name", file=sys.stderr)
        return 2
    languages = [Language(name, options.clients) for name in options.client or NAMES]
    insist = os.environ.get("CONFORMANCE_ALL") == "1" or bool(options.client)
    outcomes = asyncio.run(Runner(scenarios, reasons, insist=insist, jobs=options.jobs).run(languages))
    print(f"\n{report.matrix(scenarios, outcomes)}\n\n{report.summary(outcomes)}")
    if len(languages) == len(NAMES) and len(scenarios) == len(everything) and options.clients == ROOT / "clients":
        _write_page(scenarios, outcomes)
    return int(any(outcome.is_bad for found in outcomes.values() for outcome in found))


def _write_page(scenarios: Sequence[Scenario], outcomes: dict[str, list[Outcome]]) -> None:
    """Write the page, unless a client could not be played: what stands there was found where it could."""
    absent = [name for name, found in outcomes.items() if any(each.kind == report.ABSENT for each in found)]
    if absent:
        print(f"\n{PAGE.relative_to(ROOT)} stays as it is, since not every client is built here: {', '.join(absent)}")
        return
    PAGE.write_text(report.page(scenarios, outcomes), encoding="utf-8")
    print(f"\nwritten: {PAGE.relative_to(ROOT)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.conformance", description=__doc__)
    parser.add_argument("--client", action="append", choices=NAMES, help="only this language; repeatable")
    parser.add_argument(
        "--scenario", action="append", metavar="PART", help="only scenarios, or files, with this in the name"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="how many languages at a time")
    parser.add_argument(
        "--clients",
        type=Path,
        default=ROOT / "clients",
        metavar="DIR",
        help="another folder than clients/ of this tree",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
