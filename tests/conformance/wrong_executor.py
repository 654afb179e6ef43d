"""The Python executor, with one fault: the runner must see it. The fault's name is the only argument."""

import json
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

EXECUTOR = Path(__file__).parents[2] / "clients" / "python" / "conformance"


def faulty(line: str, fault: str) -> list[str]:
    """Return the lines to write instead of an answer."""
    answer = json.loads(line)
    body = answer.get("ok", {})
    if fault == "rounds integers" and "output" in body:
        body["output"] = re.sub(r"\d{16,}", lambda digits: f"{float(digits[0]):.0f}", body["output"])
    if fault == "calls everything unknown" and "error" in answer:
        answer["error"]["run_state"] = "unknown"
    if fault == "forgets a field" and "session" in body:
        del body["session"]
    if fault == "never answers runs" and "output" in body:
        return []
    if fault == "dies" and "output" in body:
        sys.stdout.flush()
        raise SystemExit(3)
    text = json.dumps(answer)
    if fault == "chatters" and "output" in body:
        return ["here comes the answer", text]
    return [text, text] if fault == "answers twice" and "output" in body else [text]


def pump(commands: IO[str]) -> None:
    """Hand on what the runner says."""
    for line in sys.stdin:
        commands.write(line)
        commands.flush()
    commands.close()


def main(fault: str) -> int:
    """Stand between the runner and the executor."""
    process = subprocess.Popen([EXECUTOR], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    threading.Thread(target=pump, args=(process.stdin,), daemon=True).start()
    try:
        for line in process.stdout:
            for text in faulty(line, fault):
                sys.stdout.write(text + "\n")
                sys.stdout.flush()
    finally:
        if fault == "dies":
            process.kill()
    process.wait()
    if fault == "stays":
        threading.Event().wait()
    return 1 if fault == "ends badly" else process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
