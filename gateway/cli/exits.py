"""The exit codes of `sgw`, told in `sgw --help` and in docs/cli.md."""

from enum import IntEnum


class Exit(IntEnum):
    """What a script learns from `$?`."""

    OK = 0
    OTHER = 1
    USAGE = 2
    NOT_THERE = 3
    APP_FAILED = 4
    UNREACHABLE = 5
    BUSY = 6
    NOT_ALLOWED = 7
    INTERRUPTED = 130


MEANINGS = {
    Exit.OK: "it worked",
    Exit.OTHER: "anything that has no code of its own",
    Exit.USAGE: "the command line, the settings, the request or the input is wrong",
    Exit.NOT_THERE: "not found, ended, expired, or of another app or version",
    Exit.APP_FAILED: "the app failed: it raised, did not start, or its process died",
    Exit.UNREACHABLE: "the gateway cannot be reached, is shutting down, or took too long",
    Exit.BUSY: "busy: no free worker, a full queue, a quota, a leased worker",
    Exit.NOT_ALLOWED: "not authenticated, or not permitted",
    Exit.INTERRUPTED: "interrupted with Ctrl-C",
}
