"""Environment variables that must be set before grpc is imported."""

import os

VARIABLES = {
    # The older polling engine answers a third to a half more calls a second: docs/adr/0004-grpc-runtime.md.
    "GRPC_EXPERIMENTS": "-event_engine_listener,-event_engine_client,-event_engine_dns",
    # What goes wrong is told in the gateway's own log; gRPC's core would print it a second time, in terms of its own.
    "GRPC_VERBOSITY": "NONE",
    # The gateway never forks without exec; the handlers that would make a fork safe cost every thread.
    "GRPC_ENABLE_FORK_SUPPORT": "0",
}


def apply() -> None:
    """Set what the user has not set."""
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
