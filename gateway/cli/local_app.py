"""One app on this machine, without a gateway: in the same processes, set up the same way, as a gateway would run it."""

import contextlib
import logging
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import click

from gateway.apps.manifest import AppDirectoryError, app_version, content_version, read_manifest
from gateway.apps.names import check_name
from gateway.cli.problems import CommandFailed, Problem
from gateway.cli.text import colour, visible
from gateway.clock import SystemClock
from gateway.errors import GatewayError
from gateway.model import AppVersion, FunctionDescription
from gateway.rpc.error_table import row_of
from gateway.worker_settings import WorkerSettings
from gateway.workers.local import LocalPool

END_GRACE = 2.0
"""Seconds for unload(): somebody is waiting for the prompt."""

directory_argument = click.argument(
    "directory", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path)
)


def load_app(directory: Path, name: str = "") -> AppVersion:
    """Return the app of a directory under the given name, else that of its `app.toml`, else the directory's.

    Raises click.UsageError.
    """
    directory = directory.resolve()
    try:
        name = check_name(name or read_manifest(directory).name or directory.name)
        return app_version(name, content_version(directory), directory)
    except (AppDirectoryError, ValueError) as error:
        raise click.UsageError(str(error)) from error


@contextlib.asynccontextmanager
async def pool() -> AsyncIterator[LocalPool]:
    """Yield a pool of workers whose files go with it. What apps print goes to standard error."""
    handler = _ToStandardError()
    printed, everything = logging.getLogger("gateway.output"), logging.getLogger("gateway")
    printed.addHandler(handler)
    printed.setLevel(logging.INFO)
    # What the pool reports, the command reports too, as an error of its own.
    everything.propagate = False
    everything.addHandler(logging.NullHandler())
    try:
        with tempfile.TemporaryDirectory(prefix="sgw-") as scratch:
            workers = LocalPool(WorkerSettings(min_idle=0, end_grace=END_GRACE), Path(scratch) / "run", SystemClock())
            await workers.start()
            try:
                yield workers
            finally:
                await workers.close()
    finally:
        printed.removeHandler(handler)


async def describe(app: AppVersion) -> Sequence[FunctionDescription]:
    """Import an app in a process of its own and return its functions. Raises CommandFailed."""
    async with pool() as workers:
        try:
            return await workers.describe(app, timeout=WorkerSettings().start_timeout)
        except GatewayError as error:
            raise CommandFailed(of_domain(error)) from error


def of_domain(error: GatewayError) -> Problem:
    """Return an error of the domain as the gateway would tell it."""
    failure = error.failure
    facts: Mapping[str, object] = {}
    if error.worker_exit is not None:
        how = {"exit_code": error.worker_exit.exit_code, "signal": error.worker_exit.signal}
        facts = {"worker_exit": {name: value for name, value in how.items() if value is not None}}
    return Problem(
        code=row_of(error).code,
        message=error.message,
        run_state=error.run_state.value if error.run_state else None,
        fields=tuple((each.field, each.description) for each in error.violations),
        failure=(failure.type, failure.message, failure.traceback) if failure else None,
        facts=facts,
    )


class _ToStandardError(logging.Handler):
    """What the app prints."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(click.style(visible(record.getMessage()), dim=True), err=True, color=colour())
