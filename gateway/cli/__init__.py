"""`sgw`, the command of Session Gateway: a client of the public API like any other, but for `serve`, `app deploy` and
`app test`, which work on this machine.

`root` has the command tree, each module of `commands` one or a few commands. They are imported when they are run, so
that `sgw --help` and completion do not wait for grpc.
"""

import sys

from gateway.init import leave_init_behind


def main() -> None:
    """Run the command line of this process and exit with its code."""
    # Before anything is imported that process 1 of a container would keep.
    leave_init_behind()
    # Imported here so that the names of this package can be had without click.
    from gateway.cli.root import run  # noqa: PLC0415

    sys.exit(run(sys.argv[1:]))
