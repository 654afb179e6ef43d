"""`make serve`: a gateway with the example apps in the foreground, and lines to paste into another terminal."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import IO

from tools.example_apps import example_apps
from tools.paths import ROOT

_LISTENING = "listening on "
_SERVICE = "sessiongateway.v1.SessionService"

DATA_DIR = "build/serve"
"""Where the gateway keeps what is deployed to it, relative to the project."""


def command(arguments: Sequence[str]) -> list[str]:
    """Return the command line of the gateway; `arguments` are further ones for `sgw serve`."""
    apps = [f"--app={name}={ROOT / path}" for name, path in example_apps().items()]
    # Sessions end with it: who tries something out expects nothing to be left.
    settings = ("--drain=end", f"--data-dir={ROOT / DATA_DIR}")
    return [sys.executable, "-m", "gateway.cli", "serve", *settings, *apps, *arguments]


def lines_to_paste(address: str) -> str:
    """Return the same call in three clients, with the address as it is."""
    entry = json.dumps({"key": "value"})
    request = json.dumps({"app": "kv", "session": "new", "input": {"key": "value"}})
    programs = os.path.relpath(ROOT / ".venv" / "bin")
    data_dir = os.path.relpath(ROOT / DATA_DIR)
    return f"""
In another terminal:

  export PATH="$PWD/{programs}:$PATH" SGW_ADDRESS={address} SGW_DATA_DIR="$PWD/{data_dir}"

  sgw app run kv --session new --session-timeout 300 --input '{entry}'
  sgw session list
  sgw app show interpreter

  grpcurl -plaintext -d '{request}' {address} {_SERVICE}/Run
  grpcurl -plaintext {address} describe {_SERVICE}

  buf curl --protocol grpc -d '{request}' http://{address}/{_SERVICE}/Run

Ctrl-C stops the gateway and ends its sessions.
"""


def main(arguments: Sequence[str]) -> int:
    """Serve until Ctrl-C or SIGTERM, and return the gateway's exit code."""
    process = subprocess.Popen(command(arguments), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    reader = threading.Thread(target=_read, args=(process.stdout,), daemon=True)
    reader.start()
    # The terminal tells the gateway of Ctrl-C as well; SIGTERM comes to this process alone.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    code = process.wait()
    reader.join()
    return code


def _read(output: IO[str]) -> None:
    for line in output:
        print(line, end="", flush=True)
        if line.startswith(_LISTENING):
            print(lines_to_paste(line.removeprefix(_LISTENING).strip()), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
