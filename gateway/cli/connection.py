"""The options that every command with a gateway behind it has, and the connection that they describe."""

import contextlib
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Concatenate, ParamSpec, TypeVar

import click

import sessiongateway
from gateway.cli import problems
from gateway.cli.output import Output
from gateway.cli.problems import CommandFailed, Problem
from gateway.doctor.reach import Files, reach

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_ADDRESS = "127.0.0.1:50151"
"""Where the SDK connects to when it is told nothing."""

REQUEST_TIMEOUT = 90.0
"""Seconds for requests that run no function, when --timeout is not given: a gateway may take a minute to import an
app that it is asked about."""

_SPINNER_DELAY = 0.25
"""Seconds before something turns: most calls are through by then, and a flicker is no help."""


@dataclass(frozen=True, slots=True)
class Target:
    """Which gateway, and how its answers are shown."""

    address: str | None
    api_key: str | None
    timeout: float | None
    output: Output
    tls: "sessiongateway.TLS | None" = None

    @contextlib.contextmanager
    def client(
        self, doing: str, *, default_timeout: float | None = REQUEST_TIMEOUT
    ) -> Iterator[sessiongateway.Inference]:
        """Connect; show that something is going on, and what, unless `doing` is empty."""
        with (
            make_client(self, self.timeout or default_timeout) as client,
            spinner(doing, shown=bool(doing) and not self.output.asked_for_json),
        ):
            try:
                yield client
            except sessiongateway.UnavailableError as error:
                raise CommandFailed(self._explained(error)) from error

    def _explained(self, error: sessiongateway.UnavailableError) -> Problem:
        """Return the failure with what a connection of its own shows to be the cause, if it shows any."""
        problem = problems.of_gateway(error)
        outcome = reach(self.address or DEFAULT_ADDRESS, _files(self.tls or sessiongateway.TLS.from_environment()))
        if not outcome.do:
            return problem
        return replace(problem, meaning=f"{outcome.message[:1].upper()}{outcome.message[1:]}.", do=outcome.do)


def _files(tls: "sessiongateway.TLS | None") -> Files | None:
    return None if tls is None else Files(tls.ca, tls.cert, tls.key)


def make_client(target: Target, timeout: float | None) -> sessiongateway.Inference:
    """Return a client of the target's gateway. Raises click.UsageError for settings that cannot be used."""
    if target.address is not None and "://" in target.address and not target.address.startswith(("dns:", "unix:")):
        raise click.UsageError(f"the address of a gateway is HOST:PORT, not a URL: {target.address}")
    try:
        return sessiongateway.Inference(target.api_key, target.address, timeout, tls=target.tls)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def client_command(function: Callable[Concatenate[Target, P], R]) -> Callable[..., R]:
    """Give a command the options of the connection. It is called with the Target and its own options."""

    @functools.wraps(function)
    def command(*arguments: Any, address: str, api_key: str, as_json: bool, timeout: float, **options: Any) -> R:
        output, tls = Output(as_json=as_json), tls_of(options)
        return function(Target(address, api_key, timeout, output, tls), *arguments, **options)

    decorated: Callable[..., R] = command
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def tls_of(options: dict[str, Any]) -> "sessiongateway.TLS | None":
    """Take the options of TLS out of those of a command. Raises click.UsageError when they do not go together."""
    wanted, ca, cert, key = (options.pop(name, None) for name in ("tls", "tls_ca", "tls_cert", "tls_key"))
    if wanted is False or not (wanted or ca or cert or key):
        return None
    try:
        return sessiongateway.TLS(ca, cert, key)
    except ValueError as error:
        raise click.UsageError(f"--tls-cert and --tls-key go together: {error}") from error


json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON also to a terminal, and errors as JSON.")

_OPTIONS = (
    click.option(
        "--timeout", metavar="SECONDS", type=click.FloatRange(min=0, min_open=True), help="Give up after so long."
    ),
    click.option(
        "--address",
        metavar="HOST:PORT",
        envvar="SGW_ADDRESS",
        show_envvar=True,
        show_default=DEFAULT_ADDRESS,
        help="The gateway.",
    ),
    click.option("--api-key", metavar="KEY", envvar="SGW_API_KEY", show_envvar=True, help="Who is calling."),
    click.option(
        "--tls",
        is_flag=True,
        default=None,
        envvar="SGW_TLS",
        show_envvar=True,
        help="Encrypt; trust what public authorities sign.",
    ),
    *(
        click.option(f"--tls-{name}", metavar="FILE", envvar=f"SGW_TLS_{name.upper()}", show_envvar=True, help=text)
        for name, text in (
            ("ca", "Encrypt; trust what these authorities sign (PEM)."),
            ("cert", "Show the gateway this certificate (PEM)."),
            ("key", "The private key of that (PEM)."),
        )
    ),
    json_option,
)


@contextlib.contextmanager
def spinner(text: str, *, shown: bool) -> Iterator[None]:
    """Turn something on standard error, if that is a terminal, for as long as the block runs."""
    if not shown or not sys.stderr.isatty():
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_spin, args=(text, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _spin(text: str, over: threading.Event) -> None:
    if over.wait(_SPINNER_DELAY):
        return
    # Loaded while the call runs, and only for calls that take a while.
    from gateway.cli.terminal import turning  # noqa: PLC0415

    with turning(text):
        over.wait()
