"""Whether each app can be imported, in a process of its own, as a gateway does it."""

import logging
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from gateway.apps.manifest import AppDirectoryError
from gateway.apps.registry import AppRegistry
from gateway.clock import SystemClock
from gateway.config import Settings
from gateway.doctor.finding import Finding, failed, ok, skipped
from gateway.errors import GatewayError
from gateway.model import AppVersion
from gateway.timing import DOCTOR_APP_END
from gateway.worker_settings import WorkerSettings
from gateway.workers.local import LocalPool


async def apps(settings: Settings) -> AsyncIterator[Finding]:
    """Yield a finding for the current version of each app."""
    try:
        registry = AppRegistry(settings.data_dir / "apps", settings.apps)
        current = registry.current_versions()
    except (AppDirectoryError, OSError) as error:
        yield failed("apps", str(error), "Correct the path, or deploy the app: sgw app deploy DIR")
        return
    if not current:
        yield skipped("apps", "none is deployed")
        return
    # What the pool logs is in the findings.
    logger = logging.getLogger("gateway")
    propagate, logger.propagate = logger.propagate, False
    try:
        with tempfile.TemporaryDirectory(prefix="sgw-") as scratch:
            kept = settings.workers.model_dump(include={"start_timeout", "isolation", "user_range"})
            workers = WorkerSettings(min_idle=0, end_grace=DOCTOR_APP_END, **kept)
            pool = LocalPool(workers, Path(scratch) / "run", SystemClock())
            await pool.start()
            try:
                for app in current:
                    yield await _imported(pool, app, workers.start_timeout)
            finally:
                await pool.close()
    finally:
        logger.propagate = propagate


async def _imported(pool: LocalPool, app: AppVersion, timeout: float) -> Finding:
    check = f"app {app.ref.name}"
    try:
        functions = await pool.describe(app, timeout=timeout)
    except GatewayError as error:
        do = f"Mend it and deploy it again; see it fail with: sgw app test {app.directory}"
        lines = (error.failure.message if error.failure else "").splitlines()
        cause = f" ({error.failure.type}: {lines[0]})" if error.failure and lines else ""
        message = error.message.splitlines()[0] if error.message else "cannot be imported"
        return failed(check, message if cause.strip(" ()") in message else message + cause, do)
    return ok(check, f"version {app.ref.version}, {len(functions)} functions")
