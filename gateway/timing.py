"""Every internal timeout with its reason, in seconds. What users may set is in `gateway.config`.

A test asserts the order of those that depend on one another.
"""

DEADLINE_MARGIN = 0.05
"""How long before the caller's own deadline a call that still waits is told so. The caller's clock gives up at the
deadline with an error that knows nothing; an answer that arrives just before says that nothing was applied."""

CALL_LEASE = 15.0
"""For how long a call in flight holds its session beyond its deadline without a word from the gateway that serves it.
A gateway that crashed in the middle of a call thus delays an expiry by at most this."""

CALL_LEASE_RENEWAL = CALL_LEASE / 3
"""How often the gateway renews that hold. Two renewals may fail before anyone else may expire the session."""

EXPIRY_SLACK = 0.001
"""How long after a session's deadline its timer is set. Timers of the event loop are rounded to its clock's
resolution, and one that fires too early finds the session not due and must come again."""

EXPIRY_SWEEP = 5.0
"""How often the store is asked for sessions that are due and that no timer of this gateway knows: those that a
gateway left behind. Below CALL_LEASE, so that the lease is what bounds the delay."""

PURGE_INTERVAL = 60.0
"""How often tombstones past their retention are removed. Retention is counted in hours."""

TERM_GRACE = 2.0
"""Between SIGTERM and SIGKILL for a worker that outlasted its grace for unload(). Enough for a handler that the app
set to write a last line, not enough to hold up a caller that waits for the capacity."""

CALL_LIMIT_GRACE = 2.0
"""How long after the limit of a call its function has given way, or the worker is ended. A coroutine needs a moment to
clean up; a plain function that is nearly through may still answer."""

FAMILY_WATCH = 0.25
"""How often the processes of workers are counted and weighed, if their apps limit that. A fork bomb doubles in a
millisecond: what matters is that it is still small enough to be killed in one go."""

DISK_WATCH = 1.0
"""How often the directories of workers are measured, if their apps limit that. One big file meets the kernel's limit
long before."""

ZYGOTE_STOP = 2.0
"""Between closing a zygote's control socket, on which it exits at once, and SIGKILL."""

START_BACKOFF_FIRST = 0.5
"""The pause before a warm worker is tried again after the first failed start. A start that fails costs a process; a
pool that tries again at once is a busy loop."""

START_BACKOFF_MAX = 60.0
"""The longest such pause: an app that is mended is warm again within a minute, or at its next call."""

RETRY_HINT = 1.0
"""RetryInfo for a caller that found no worker or a full queue: about as long as an interactive call takes."""

SHUTDOWN_REPLY = 1.0
"""How long the server waits, after the last call of a drain has been answered, for streams to be told and closed."""

DEPLOYMENT_POLL = 1.0
"""How often the deployed apps are looked at to have workers of a new version ready. A call looks for itself: this only
decides whether its worker is warm."""


ADOPTION_PATIENCE = 1.0
"""How long a starting gateway waits for adopted workers to say whether they are busy, before it takes those that are
silent for busy. Only an app that blocks its event loop keeps a worker from answering at once."""
