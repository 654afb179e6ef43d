"""What each figure must reach and is meant to reach, and which way is better. The one place that says so."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Target:
    """One figure before it is measured. `must` and `goal` are in `unit`; None: it is measured for the record only."""

    title: str
    unit: str
    yardstick: str
    """What the value is a ratio against; "" for a figure that stands by itself."""
    must: float | None = None
    goal: float | None = None
    better: Literal["higher", "lower"] = "higher"


_ECHO = "bare grpc.aio echo"
_SERVE = "Ray Serve, gRPC ingress"
_ACTOR = "Ray actor, called from Python"
_ETCD = "etcd LeaseKeepAlive"
_GO = "grpc-go echo"
_EMBEDDED = "the embedded default"
_FEW = "among 1,000 records"

TARGETS: dict[str, Target] = {
    "calls_rate": Target("calls/s in 64 warm sessions, 64 in flight", "×", _ECHO, 0.75, 0.90),
    "call_median": Target("median of one call after another", "×", _ECHO, 1.6, 1.25, "lower"),
    "call_p99": Target("99th percentile at half of the maximal rate", "×", _ECHO, 2.5, 1.5, "lower"),
    "calls_rate_go": Target("calls/s in 64 warm sessions, 64 in flight", "×", _GO),
    "calls_rate_serve": Target("calls/s, 64 in flight", "×", _SERVE, 15, 30),
    "call_median_serve": Target("median of one call after another", "×", _SERVE, 1 / 6, 1 / 10, "lower"),
    "calls_rate_actor": Target("calls/s, 64 in flight", "×", _ACTOR),
    "call_median_actor": Target("median of one call after another", "×", _ACTOR, better="lower"),
    "new_median": Target('"new" until the first answer, warm pool: median', "ms", "", 5, 2, "lower"),
    "new_p99": Target('"new" until the first answer, warm pool: 99th percentile', "ms", "", 25, 10, "lower"),
    "new_cold": Target('"new" until the first answer, cold pool: median', "ms", "", 20, 8, "lower"),
    "cycles_rate": Target("new + call + end, sustained", "1/s", "", 150, 400),
    "keepalive_one": Target("StreamKeepalive, ids/s with one id per message", "×", _ETCD, 0.4, 0.65),
    "keepalive_many": Target("StreamKeepalive, ids/s with 100 ids per message", "×", _ETCD, 2, 5),
    "session_memory": Target("private memory per idle session, trivial app", "MB", "", 4, 2.5, "lower"),
    "sessions_live": Target("sessions live at once, all answering", "sessions", "", 2000, 5000),
    "expiry_lateness": Target("lateness of expiry, all within a second: 99th percentile", "ms", "", 100, 25, "lower"),
    "list_page": Target("ListSessions page of 50 among 1,000,000 records", "×", "among 1,000 records", 2, 1.1, "lower"),
    "payload_rate": Target("1 MB input_json echo, MB/s", "×", _ECHO, 0.6, 0.85),
    "soak_memory": Target("gateway memory at the end of a soak", "%", "after its first minute", 5, 0, "lower"),
    "import_sdk": Target("`import sessiongateway`, whole process", "ms", "", 150, 80, "lower"),
    "import_client": Target("`from sessiongateway import Inference`, whole process", "ms", "", better="lower"),
    "sgw_help": Target("`sgw --help`, whole process", "ms", "", 400, 200, "lower"),
    "calls_rate_redis": Target("calls/s, 64 in flight, records in Redis", "×", _EMBEDDED, 0.6, 0.8),
    "call_median_redis": Target("median of one call after another, records in Redis", "×", _EMBEDDED, better="lower"),
    "calls_rate_ray": Target("calls/s, 64 in flight, workers on Ray", "×", _EMBEDDED, 0.7, 0.8),
    "call_median_ray": Target("median of one call after another, workers on Ray", "×", _EMBEDDED, better="lower"),
    "ray_idle": Target("an actor that looks after an idle worker", "% of a core", "", better="lower"),
    "calls_rate_ray_actor": Target("calls/s, 64 in flight, workers on Ray", "×", "64 Ray actors, called bare", 5, 8),
    "calls_rate_redis_ray": Target("calls/s, 64 in flight, records in Redis, workers on Ray", "×", _EMBEDDED),
    "call_median_redis_ray": Target(
        "median of one call after another, records in Redis, workers on Ray", "×", _EMBEDDED, better="lower"
    ),
    "keepalive_redis": Target("Redis, for one id of 100 on a stream of keepalives", "µs", "", better="lower"),
    "record_memory": Target("memory of Redis for each live session, 1,000,000 of them", "bytes", "", better="lower"),
    "records_get": Target("a session by its id, among 1,000,000", "×", _FEW, 2, 1.2, "lower"),
    "records_list": Target("page of 50, among 1,000,000", "×", _FEW, 2, 1.2, "lower"),
    "records_admit": Target("64 calls admitted and finished, among 1,000,000", "×", _FEW, 2, 1.2, "lower"),
    "records_expire": Target("50 sessions found due and expired, among 1,000,000", "×", _FEW, 2, 1.2, "lower"),
    "redis_call": Target("Redis, for a call admitted and finished", "µs", "", better="lower"),
    "redis_keepalive": Target("Redis, for a session kept alive, 100 at once", "µs", "", better="lower"),
    "redis_keepalive_alone": Target("Redis, for a session kept alive, one at a time", "µs", "", better="lower"),
    "redis_session": Target("Redis, for a session created and ended", "µs", "", better="lower"),
}
