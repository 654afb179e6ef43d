"""What each error code means and what to do about it, in the words of somebody at a shell.

One row for every ErrorCode of the contract (a test compares) and for the codes that come from the connection.
"""

from dataclasses import dataclass

from gateway.cli.exits import Exit


@dataclass(frozen=True, slots=True)
class Advice:
    """One row."""

    meaning: str
    do: str
    exit: Exit


_NEW_SESSION = "Start a new session: sgw app run APP --session new"

BY_CODE: dict[str, Advice] = {
    "SESSION_NOT_FOUND": Advice(
        "There is no such session, or it belongs to somebody else, or its record has been purged.",
        "Compare the id with `sgw session list`, and call as who opened it. " + _NEW_SESSION,
        Exit.NOT_THERE,
    ),
    "SESSION_EXPIRED": Advice(
        "Nobody called the session for longer than its timeout, so its worker and its state are gone.",
        _NEW_SESSION + " --session-timeout 300, and renew it in time: sgw session keepalive ID --follow",
        Exit.NOT_THERE,
    ),
    "SESSION_ENDED": Advice(
        "The session is over, and its worker and its state are gone.",
        "See why: sgw session get ID. " + _NEW_SESSION,
        Exit.NOT_THERE,
    ),
    "WORKER_LEASED": Advice(
        "That worker serves another session.",
        "Leave --worker-id out to get any free one. `sgw app show APP` lists the free ones.",
        Exit.BUSY,
    ),
    "APP_MISMATCH": Advice(
        "A session stays with the app that it was started with.",
        "Name the session's own app (sgw session get ID shows it), or start a session of this one with --session new.",
        Exit.NOT_THERE,
    ),
    "VERSION_MISMATCH": Advice(
        "A session stays with the version that it was started with, also when a newer one is deployed.",
        "Name the session's own version, APP@VERSION (sgw session get ID shows it), or start a new session.",
        Exit.NOT_THERE,
    ),
    "INVALID_REQUEST": Advice(
        "The request breaks a rule of the gateway.",
        "Correct what is listed; the same request gets the same answer.",
        Exit.USAGE,
    ),
    "INVALID_INPUT": Advice(
        "The function takes another input than this.",
        "Correct what is listed; `sgw app show APP` shows what the function takes.",
        Exit.USAGE,
    ),
    "APP_NOT_FOUND": Advice(
        "No app of this name is deployed on this gateway.",
        "See what is there: sgw app list. Deploy a directory: sgw app deploy DIR --data-dir (the gateway's)",
        Exit.NOT_THERE,
    ),
    "VERSION_NOT_FOUND": Advice(
        "The app is there, but not in this version.",
        "See its versions: sgw app show APP",
        Exit.NOT_THERE,
    ),
    "FUNCTION_NOT_FOUND": Advice(
        "The app has no such function, or none was named and it has no default.",
        "See its functions: sgw app show APP. Name one: --function NAME",
        Exit.NOT_THERE,
    ),
    "WORKER_NOT_FOUND": Advice(
        "There is no such worker, or the session is on another one.",
        "Leave --worker-id out. `sgw app show APP` lists the free ones.",
        Exit.NOT_THERE,
    ),
    "REQUEST_ID_REUSED": Advice(
        "This --request-id was used for a call with another content.",
        "Use a fresh one for each new call, such as the output of `uuidgen`.",
        Exit.USAGE,
    ),
    "CALL_INTERRUPTED": Advice(
        "The gateway was stopped while the call ran. The worker goes on with it.",
        "Ask the next gateway with the same --request-id; without one, look at the session: sgw session get",
        Exit.UNREACHABLE,
    ),
    "CALL_COUNT_MISMATCH": Advice(
        "The session has had another number of calls than expected: somebody else used it.",
        "Look at it with `sgw session get`, and decide anew.",
        Exit.OTHER,
    ),
    "SESSION_BUSY": Advice(
        "Calls of a session run one after another, and too many are waiting for this one.",
        "Wait until they are through and send it again.",
        Exit.BUSY,
    ),
    "NO_WORKER_AVAILABLE": Advice(
        "All workers that the gateway may run are taken.",
        "Send it again later; end sessions that nobody needs: sgw session list --status active",
        Exit.BUSY,
    ),
    "QUOTA_EXCEEDED": Advice(
        "A limit that the gateway sets for you is reached.",
        "Send it again later, or have the limit raised.",
        Exit.BUSY,
    ),
    "APP_ERROR": Advice(
        "The function raised an exception. The session, unless this call was to open it, goes on.",
        "Read the exception; the gateway's log has what the app printed.",
        Exit.APP_FAILED,
    ),
    "APP_START_FAILED": Advice(
        "The app could not be imported, constructed or set up.",
        "Read the exception and mend the app; try it without a gateway: sgw app test DIR",
        Exit.APP_FAILED,
    ),
    "WORKER_LOST": Advice(
        "The process that ran the call died. A session that it held has ended.",
        "The gateway's log has the last that the process wrote. " + _NEW_SESSION,
        Exit.APP_FAILED,
    ),
    "UNAUTHENTICATED": Advice(
        "The gateway does not know who calls: it got no credential, or one that is not good.",
        "Set SGW_API_KEY (or --api-key) to a key or token that is good there. Where the gateway knows callers by their "
        "certificates: connect with one that it knows (--tls-cert, --tls-key), and send no key.",
        Exit.NOT_ALLOWED,
    ),
    "PERMISSION_DENIED": Advice(
        "The gateway knows who calls, and that caller may not do this.",
        "Call with a key, token or certificate that has the scope for it, or have whoever runs the gateway give one.",
        Exit.NOT_ALLOWED,
    ),
    "GATEWAY_DRAINING": Advice(
        "The gateway is shutting down and takes no new calls.",
        "Send it again when it is back, or to another gateway with --address.",
        Exit.UNREACHABLE,
    ),
    "STORE_UNAVAILABLE": Advice(
        "The gateway cannot read or write its records: a full disk, or a locked or damaged file.",
        "Send it again later; whoever runs the gateway finds the cause in its log.",
        Exit.UNREACHABLE,
    ),
    "CALL_TIMED_OUT": Advice(
        "The call took longer than the app allows, and was cancelled.",
        "Ask for less in one call, or raise `call` under [limits] in the app's app.toml.",
        Exit.APP_FAILED,
    ),
    "INTERNAL": Advice(
        "The gateway failed in a way that nobody foresaw.",
        "Tell whoever runs the gateway the error id; the log has the rest under it.",
        Exit.OTHER,
    ),
    # From here on: not from a gateway, but from the way to it, or from this side.
    "UNAVAILABLE": Advice(
        "The gateway cannot be reached, or the connection broke.",
        "Is it running (sgw serve), and is this its address (--address, SGW_ADDRESS)? `sgw doctor` looks closer: "
        "whether it wants TLS (--tls-ca), a certificate of the client (--tls-cert, --tls-key), or neither.",
        Exit.UNREACHABLE,
    ),
    "DEADLINE_EXCEEDED": Advice(
        "The time given with --timeout is over.",
        "Give it more time.",
        Exit.UNREACHABLE,
    ),
    "UNIMPLEMENTED": Advice(
        "What listens at this address does not know the request: no Session Gateway, or an older one.",
        "Check the address (--address, SGW_ADDRESS).",
        Exit.OTHER,
    ),
    "INVALID_RESPONSE": Advice(
        "The answer is not what a gateway sends.",
        "Check the address (--address, SGW_ADDRESS) and the versions of both sides.",
        Exit.OTHER,
    ),
    "KEY_NOT_FOUND": Advice(
        "There is no API key of this id or name that could be revoked.",
        "See what is there: sgw key list --data-dir (the gateway's)",
        Exit.NOT_THERE,
    ),
    "KEY_NAME_TAKEN": Advice(
        "Another API key has this name.",
        "Take another name, or revoke the other key first: sgw key revoke NAME",
        Exit.USAGE,
    ),
    "KEYS_UNUSABLE": Advice(
        "The file of API keys cannot be read or written, so nothing was changed.",
        "Run it as the user of the gateway, with the gateway's --data-dir.",
        Exit.OTHER,
    ),
    "USAGE": Advice(
        "The command line is wrong.",
        "See --help.",
        Exit.USAGE,
    ),
    "INTERRUPTED": Advice(
        "It was stopped with Ctrl-C; a call that ran was cancelled.",
        "",
        Exit.INTERRUPTED,
    ),
}

BY_EXCEPTION: dict[tuple[str, str], Advice] = {
    ("APP_START_FAILED", "IsolationUnavailable"): Advice(
        "This machine, or the user that the gateway runs as, cannot give the isolation that is asked for. "
        "It is no fault in the app's code, which was not run.",
        "Do what the message says; `sgw doctor` on that machine shows what it can give. What is asked for is the "
        "higher of workers.isolation (the gateway's settings) and `isolation` in app.toml.",
        Exit.APP_FAILED,
    ),
}
"""Where the type of the failure tells more than the code does."""

UNKNOWN = Advice(
    "This version of sgw does not know the code.", "See the message; a newer sgw may know more.", Exit.OTHER
)
"""For a code of a newer gateway, or a bare gRPC status."""

RUN_STATES = {
    "not_started": "Nothing was applied; sending it again is safe.",
    "unknown": "It may have been applied, wholly or in part: look before you send it again.",
    "completed": "It ran; sending it again runs it a second time.",
}
"""The answer to "did my call run?"."""


def advice_for(code: str, exception_type: str = "") -> Advice:
    """Return the row of a code, or that of the codes that are not known. `exception_type` is that of the failure."""
    return BY_EXCEPTION.get((code, exception_type)) or BY_CODE.get(code, UNKNOWN)
