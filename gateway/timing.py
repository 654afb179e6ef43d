"""Every internal timeout with its reason, in seconds. What users may set is in `gateway.config`.

A test asserts the order of those that depend on one another. This module imports nothing, so that workers may use it.
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

ENDING_PAUSE = 0.1
"""For how long no session must have expired before the workers of those that have are ended. Sessions that expire
together are all told of before the ends of their workers take the processors."""

ENDING_PATIENCE = 2.0
"""The longest such wait, where sessions expire all the time. When there is no room for other workers, it is over."""

ENDING_TURN = 0.05
"""For how long a worker that is ended in its turn keeps the next ones waiting. An end without unload() takes some
milliseconds; of a thousand slow ones the last begins after a minute at most."""

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

ZYGOTE_LINGER = 1.0
"""How long a zygote that is shared stays when nobody has use for it: for an actor that comes while another goes, as
when an app is described and then called."""

CONTROL_PATIENCE = 5.0
"""How long such a zygote waits for one of those who share it to read what it is told. It holds up the others meanwhile;
whoever reads nothing for so long has been stopped, and loses its workers."""

START_BACKOFF_FIRST = 0.5
"""The pause before a warm worker is tried again after the first failed start. A start that fails costs a process; a
pool that tries again at once is a busy loop."""

START_BACKOFF_MAX = 60.0
"""The longest such pause: an app that is mended is warm again within a minute, or at its next call."""

RETRY_HINT = 1.0
"""RetryInfo for a caller that found no worker or a full queue: about as long as an interactive call takes."""

SHUTDOWN_REPLY = 1.0
"""How long the server waits, after the last call of a drain has been answered, for streams to be told and closed."""

WATCH_POLL = 1.0
"""How often a watch looks into the store although nobody has told it of anything: what another gateway on the store
does, or what becomes of a session without a worker here, shows that late. All else shows at once."""

WATCH_QUIET = 30.0
"""After how long without an event a watch says that it still stands. Keeps a connection open through proxies, which
commonly cut idle ones after a minute, and gives callers a resume token far younger than any retention."""

PROCESS_RESTART_FIRST = 0.1
"""The pause before a gateway process that has died is started again. Its sessions can be called only after that."""

PROCESS_RESTART_MAX = 10.0
"""The longest such pause; each is twice the one before."""

PROCESS_STABLE = 30.0
"""How long a gateway process must have lived for the next pause to be the first again."""

HEARTBEAT = 0.5
"""How often the event loop of a process shows that it runs."""

LOOP_STALL = 1.0
"""By how much a heartbeat may be late before the log says so. Callers notice such a pause; a loop that does nothing
wrong, on a machine with too little to give, has pauses of a few tenths."""

HANG_COVER = 2.0
"""After so long without a heartbeat the next process takes new connections of one that does not answer. It costs nobody
anything when that was merely busy; well above LOOP_STALL and the pauses of a loaded machine."""

HANG_LOOK = 0.5
"""How often the supervisor looks at the heartbeats."""

HANG_NOTICE = 10.0
"""After so long without a heartbeat a process counts as one that hangs: callers of its sessions are told to come again
rather than left waiting. Far beyond what a process ever does in one piece."""

QUIET_POLL = 0.02
"""How often a process that drains looks whether the others have calls in flight, which it may have to answer."""

DEPLOYMENT_POLL = 1.0
"""How often the deployed apps are looked at to have workers of a new version ready. A call looks for itself: this only
decides whether its worker is warm."""

ADOPTION_PATIENCE = 1.0
"""How long a starting gateway waits for adopted workers to say whether they are busy, before it takes those that are
silent for busy. Only an app that blocks its event loop keeps a worker from answering at once."""

STORE_TURN = 0.002
"""For how long a statement is tried at once when another gateway process writes. A write takes some microseconds; one
whose process was interrupted in the middle, a time slice. Beyond it the loop goes on with other work."""

STORE_BUSY_FIRST = 0.005
"""The pause before an operation on a locked store is tried again; it doubles with each attempt. Whoever else writes to
the file is done within some milliseconds."""

STORE_BUSY_LAST = 0.1
"""The longest such pause."""

STORE_BUSY_PATIENCE = 1.0
"""For how long a locked store is tried again before it counts as unavailable. Below CALL_LEASE_RENEWAL, so that a
renewal of holds that had to wait is still in time."""

STORE_END_DELAY = 0.02
"""For how long the end of a call waits to be put on record together with the next call of its session. More than is
between two calls of a session when 64 of them are called 6,000 times a second; what another process reads of it is old
by this at the most."""

STORE_END_SLIDE = 0.2
"""By how much the end of a call may move the window without being on record. A session with a call in flight is due so
much after its deadline, so that none expires earlier than was told. An end that moves it further is that of a call
that took so long that writing is nothing to it."""

STORE_PROBE = 0.5
"""How often a store that is unavailable is tried. What a caller waits beyond the end of the trouble."""

STORE_INSPECTION = 1.0
"""How often the files of the store are looked at: what was deleted or replaced is noticed within this time even if
nobody calls."""

STORE_OPEN_PATIENCE = 2.0
"""For how long a start waits for a store that somebody else has locked. There are no callers yet who would wait too."""

STORE_CHECK = 2.0
"""How long a start may spend on looking for damage in the store. Enough for some gigabytes in the page cache; damage
in what was not looked at is found when it is read."""

WORKER_FIRST_CONTACT = 30.0
"""In which the gateway that asked for a worker must have connected to it. It does so within milliseconds, unless it has
died; long enough for one that is being debugged or swapped out."""

DOOR_PATIENCE = 5.0
"""In which whoever connects to a worker over TCP must have proven itself. A gateway does so in one round trip."""

PEER_PROBE = 3
"""Between two questions to a silent machine whether it is still there, on a TCP connection between gateway and worker.
Whole seconds, as the kernel wants them."""

PEER_SILENCE = 12
"""After which such a connection is broken because nothing at all comes from the other machine, whatever was sent. Long
enough for a switch to come back, and for two probes to be lost."""

DIAL_PATIENCE = 5.0
"""For a connection from a gateway to a worker on any machine, proof of both ends included."""

EXIT_SETTLE = 0.5
"""Between the news of a worker's end and the end of its connection, in which its last answers may still come: the news
takes another way."""

EXIT_PATIENCE = 1.5
"""How long the end of a connection waits for the news of how the worker ended. It is told in milliseconds by the
machine where that was; one that is gone tells nothing, and callers of its sessions wait for no more than this."""

CLEARED_PATIENCE = 10.0
"""How long a place is kept for a worker that is gone, until its machine has said that nothing is left of it."""

RAY_START = 30.0
"""In which Ray must have been reached when a gateway starts: a driver takes a second or two to connect, and several on
a machine that has little to spare."""

RAY_BACKOFF_FIRST = 1.0
"""The pause before the driver of Ray is started again after it ended; it doubles with each attempt."""

RAY_BACKOFF_MAX = 15.0
"""The longest such pause. Each attempt is a process that imports Ray, a second of a processor."""

RAY_PROBE = 1.0
"""How often Ray's head is asked whether it is there."""

RAY_AWAY = 4.0
"""After which an unanswered probe means that Ray is away, and whoever needs a new worker is told so at once. A busy
head answers within some tenths of a second."""

RAY_ANSWER = 10.0
"""For an answer of an actor, or of Ray's head, to a driver. Beyond it a worker that is looked for cannot be had."""

RAY_PLACED = 0.2
"""In which an actor that runs has answered whether it does. One that is given up and has not is killed, wherever it is:
nothing of an app's runs in it yet."""

RAY_LEAVE = 3.0
"""For the driver to end by itself, when its gateway has ended its workers."""

ACTOR_LINGER = 5.0
"""How long an actor stays whose worker is gone, for the gateway to hear how that ended and that all is cleared away."""

ACTOR_NEWS = 30.0
"""How long an actor lets a driver wait for news before the driver has to ask again. The wait holds a thread of the
actor's, also when the driver is gone meanwhile; asking costs both of them a millisecond."""

ACTOR_REST = 0.5
"""How long the main thread of an actor rests at a time. Whatever is asked of the actor may wait for it: to be told
whose the worker is, to signal or to end it. Calls, and the news of the worker's end, do not come that way."""

ACTOR_AWAKE = 0.015
"""Between two such rests. Ray's loop looks for signals every 10 ms, so that the next rest begins within 25 ms; in
between it does all that has come."""

ACCEPT_PAUSE = 1.0
"""After which a worker that could not accept a gateway tries again: when its app has used up the descriptors, say."""

ORPHAN_BLOCKED_GRACE = 10.0
"""How much later than the event loop's timer the kernel's ends a worker without a gateway: time for unload(), more than
`workers.end_grace` gives unless that is raised. It ends a process whose loop the app is blocking."""

ORPHAN_SETTLE = 1.0
"""After the death of its zygote, in which a worker must also have seen the end of the gateway's connection. Otherwise
only the zygote died, and the worker has a gateway."""

SHARED_REPLACEMENT = 60.0
"""For how long a shared worker is waited for on behalf of callers of whom the first has left, or whose worker has died.
Each of them has a limit of its own, which is shorter."""

FAMILY_PATIENCE = 5.0
"""After which processes of a worker that cannot be killed (in uninterruptible sleep, or another user's) are left alone.
A zygote does nothing else meanwhile, and a start no longer waits for them."""

FAMILY_PAUSE = 0.002
"""Between two looks for them: a process that was killed takes a moment to be gone."""

MACHINE_TRIAL = 20.0
"""In which a program that does nothing must have ended, by which it is tried what the machine can give. It takes
milliseconds; on a machine that is so busy, a profile is better refused than guessed."""

HTTP2_GREETING = 20.0
"""In which a connection must have sent the preface of HTTP/2. What connects to look whether somebody listens goes at
once; what sends half of it is held no longer than a slow network takes."""

CONNECTION_LOOK = 15.0
"""Between two looks at a connection: whether its peer was heard of, has calls, takes what it is sent. Where a setting
is shorter than that, it is looked at more often. Ten thousand connections are some hundred looks a second."""

CONNECTIONS_TOLD = 10.0
"""Between two lines of the log on connections beyond what may be. Whoever causes them could cause many."""

HTTP2_GOODBYE = 1.0
"""For how long a stopping server waits for handlers that it has cancelled, and then for peers to take what they are
still to be sent."""

TLS_HANDSHAKE = 10.0
"""In which a connection must have finished the handshake of TLS: a few ways there and back, and it may
be a slow network."""

CERTIFICATE_POLL = 0.5
"""Between two looks at the files of the certificate. One that was replaced is in use within a second, and a pair of
which half is new may be met once before it is complained of."""

KEYS_POLL = 0.25
"""Between two looks at the file of API keys. A key that was revoked is good for nothing within a second, also when the
first look at a file that is gone or damaged is forgiven."""

JWT_LEEWAY = 10.0
"""By how much the clock of an issuer of tokens may differ from ours. Machines whose clocks are kept differ by less than
a second; a token that has expired is good for so much longer."""

TLS_REFUSALS_TOLD = 1.0
"""Between two lines of the log on handshakes that were refused. Anybody who can connect can cause them."""

CERTIFICATE_SETTLE = 5.0
"""For how long a key and a certificate may not belong together before that is complained of: whoever renews them writes
one file after the other."""

TRACE_DELAY = 1.0
"""For how long finished spans wait for others to be sent with them. Who looks at a trace looks later than that."""

TRACE_EXPORT = 2.0
"""In which a collector must have taken a batch of spans, tries again included. Those that come meanwhile wait, and the
queue has room for some seconds."""

TRACE_FLUSH = 3.0
"""How long the end of a gateway waits for a collector to take the last spans: longer than one batch is tried."""

SCRAPE_PATIENCE = 5.0
"""How long a client of the metrics may take to send its request, and again to take the page. Prometheus gives up after
ten seconds for all of it."""

SCRAPE_PEER = 1.0
"""How long a scrape waits for the numbers of another gateway process, which is being started or very busy. The page is
then without them."""

DOCTOR_CONNECTION = 2.0
"""For each step of a connection that is made to find out why there is none: whoever asks has waited already."""

DOCTOR_REQUEST = 5.0
"""For each question to a gateway that was reached: it answers at once, unless something is wrong with it."""

DOCTOR_STORE = 10.0
"""For looking through a store, which holds back the gateway's log of it meanwhile."""

DOCTOR_APP_END = 2.0
"""For the end of a process that has only imported an app."""

REDIS_CONNECT = 1.0
"""For a connection to Redis. One that takes longer on the way to the next machine will not be of use for calls."""

REDIS_REPLY = 1.0
"""For a reply of Redis, which takes a fraction of a millisecond. Beyond it callers are better told; with the next probe
and its connection it is still below CALL_LEASE_RENEWAL, so that holds are renewed in time."""

REDIS_CLAIM = 10.0
"""For how long a gateway's claim to its prefix in Redis outlasts it, so long that a pause of a few inspections loses
nothing. The same gateway, started again, does not wait for it."""

REDIS_WRITER = 3600.0
"""For how long Redis remembers a gateway that it has not heard of, in which what was unknown of its last operations can
still be settled. Longer than any network is away while sessions, which last no longer, still matter."""

REDIS_RECORD_GRACE = 120.0
"""How much longer than its retention Redis keeps the record of a finished session by itself: a purge, which says how
many it removed, comes first."""

REDIS_CLOCK_SLEW = 0.0005
"""Seconds by which a gateway follows the clock of Redis in a second: as fast as NTP lets a clock run away from others.
A session of a minute is so at most 30 ms off by it."""

REDIS_CLOCK_STEP = 1.0
"""By how much the clock of Redis may be away from what was measured before, until that is said. Clocks that are kept
differ by milliseconds."""

CLUSTER_BEATS = 5
"""How often a gateway on a shared store is heard of in the time after which it counts as dead, where its store is not
looked at more often anyway. So some may be late."""

PEER_CONNECT = 2.0
"""For a connection to another gateway, and for both ends to prove who they are. It takes a millisecond in one place;
one that takes longer leads to a machine that is gone, and callers are better told."""

PEER_READY_WORKERS = 1.0
"""How long a description of an app waits for the ready workers of another gateway, which may hang. It is then without
them."""
