"""`make demo`: a gateway on a free loopback port, and a session's life played against it with real clients.

Each step is checked: the exit code is 0 only if every answer was the expected one.
"""

import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.testing.process import GatewayProcess
from tools import demo_clients, demo_errors, demo_sessions
from tools.example_apps import example_apps
from tools.paths import ROOT
from tools.stage import Stage, Unexpected

STEPS = (
    demo_sessions.what_is_served,
    demo_sessions.plain_call,
    demo_sessions.session,
    demo_sessions.looking_and_renewing,
    demo_sessions.sliding_window,
    demo_sessions.python_sdk,
    demo_sessions.expiry,
    demo_errors.wrong_input,
    demo_errors.app_error,
    demo_errors.wrong_app,
    demo_errors.call_after_the_end,
    demo_clients.interpreter,
    demo_clients.sql,
    demo_clients.classifier,
    demo_clients.any_grpc_client,
)


def main(steps: Sequence[Callable[[Stage], None]] = STEPS) -> int:
    """Play the steps and return the exit code."""
    apps = {name: ROOT / path for name, path in example_apps().items()}
    with tempfile.TemporaryDirectory(prefix="sgw-demo-") as scratch:
        gateway = GatewayProcess(Path(scratch), apps)
        with gateway:
            print(f"Session Gateway is listening on {gateway.address}, on this machine only.")
            code = played(Stage(gateway.address), steps, lambda: gateway.log)
        if code == 0:
            print("The gateway and its workers are gone. `make serve` runs one for you to play with.")
    return code


def played(stage: Stage, steps: Sequence[Callable[[Stage], None]], log: Callable[[], str]) -> int:
    """Play the steps, and return the exit code; `log` is shown when one went wrong."""
    began = time.monotonic()
    try:
        for step in steps:
            step(stage)
    except Exception as error:  # noqa: BLE001  # whatever a step raises is its failure
        print(f"\nFAILED in step {stage.steps}, {stage.step}: {_text(error)}", file=sys.stderr)
        print(log()[-4000:], file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"\nAll {stage.steps} steps went as they should, in {time.monotonic() - began:.1f} s.")
    return 0


def _text(error: Exception) -> str:
    return str(error) if isinstance(error, Unexpected) else f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the gateway is stopped then too
    sys.exit(main())
