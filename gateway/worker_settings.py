"""The settings of `workers`."""

from typing import Literal

from pydantic import Field

from gateway.sources.section import Count, Positive, Seconds, Section
from gateway.sources.users import UserRange


class WorkerSettings(Section):
    """Worker processes."""

    pool: Literal["local", "ray"] = Field(
        "local",
        description="Where workers are. `local`: processes of this machine. `ray`: on the machines of a Ray cluster, "
        "which places them; see `[ray]`. Needs the extra `ray`.",
    )
    max_workers: Positive = Field(
        1024, description="Worker processes at a time, all apps together: leased, shared, ready and ending ones."
    )
    min_idle: Count = Field(
        2, description="Workers kept ready for each current version, unless the app's `app.toml` says otherwise."
    )
    max_shared: Positive = Field(
        2, description="Workers per version that answer plain calls (those without a session)."
    )
    shared_idle: Seconds = Field(
        300.0,
        description="Seconds after which a shared worker, or a ready one of an old version, ends for want of use.",
    )
    queue_time: Seconds = Field(
        30.0, description="Seconds that a call waits for a worker at the most. Then NO_WORKER_AVAILABLE."
    )
    start_timeout: Seconds = Field(
        60.0,
        description="Seconds that an app's import, or its constructor and setup(), may take. Then APP_START_FAILED.",
    )
    end_grace: Seconds = Field(5.0, description="Seconds that unload() gets before the worker is sent SIGTERM.")
    orphan_grace: Seconds = Field(
        30.0,
        description="Seconds beyond its session's timeout for which a leased worker waits for a gateway to come back, "
        "when its own was stopped or died. Then it ends itself.",
    )
    isolation: Literal["auto", "process", "user", "sandbox"] = Field(
        "auto",
        description="How workers are kept to themselves at the least; an `app.toml` can ask for more. `process`: as "
        "the gateway's user. `user`: each as a user of its own; for a gateway that runs as root. `sandbox`: in "
        "bubblewrap, without network. `auto`: `user` for root where it can be had, else `process`.",
    )
    user_range: UserRange = Field(
        "1879048192-2147483647",
        description="Users for workers, `FIRST-LAST`: numbers that nobody else on the machine has, from 1000 on. Each "
        "app takes `max_workers` and one more of them.",
    )
    output_rate: Positive = Field(
        256 * 1024, description="Bytes of one worker's output that are logged per second. What is more is dropped."
    )
