"""Plays the scenarios of clients/conformance with the client of every language, and compares."""

import os

# Scenarios break connections all the time, of which gRPC writes a line each. It reads this when it is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
