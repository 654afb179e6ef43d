"""What a zygote has loaded before it forks: all that a call needs, and no more."""

import subprocess
import sys

_LOADED = """
import sys
from gateway.worker import payload, zygote
from gateway.worker.failures import CallRefused
from gateway.worker.loop import new_loop
from gateway.worker.warm import warm_up
from sessiongateway.worker.v1 import worker_pb2 as pb

warm_up(new_loop())
print(*sys.modules)
known = set(sys.modules)
for text in (b'{"n": 1}', b'{"a": [1, 2.5, null, "b"]}', b'{"deep": {"a": {"b": {"c": [1]}}}}', b'{"large": 1e999}'):
    for form in (pb.PAYLOAD_FORMAT_JSON, pb.PAYLOAD_FORMAT_STRUCT):
        try:
            payload.encode(payload.decode(text if form == pb.PAYLOAD_FORMAT_JSON else b"", form, None), form)
        except CallRefused:
            pass
print(*(set(sys.modules) - known))
"""


def test_a_worker_imports_nothing_for_its_calls_and_has_no_pydantic_that_its_app_does_not_ask_for() -> None:
    printed = subprocess.run([sys.executable, "-c", _LOADED], capture_output=True, text=True, check=True, timeout=50)
    loaded, added = printed.stdout.split("\n")[:2]
    assert added == ""
    assert "pydantic_core" in loaded.split()
    assert "pydantic" not in loaded.split()
