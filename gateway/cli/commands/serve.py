"""`sgw serve`."""

import importlib
from pathlib import Path
from typing import Any

import click

from gateway import process_environment
from gateway.cli.lazy import examples
from gateway.cli.settings import load_settings
from gateway.config import setting_paths
from gateway.supervisor import supervise

_SECTIONS = {
    "listen": "server",
    "tls_cert": "server",
    "tls_key": "server",
    "client_ca": "server",
    "insecure": "server",
    "auth": "server",
    "drain": "server",
    "drain_grace": "server",
    "pool": "workers",
    "ray_address": "ray",
    "max_workers": "workers",
    "min_idle": "workers",
    "queue_time": "workers",
    "metrics_address": "metrics",
    "store_url": "store",
    "cluster_listen": "cluster",
    "log_level": "log",
    "log_format": "log",
}


def _apps(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    apps: dict[str, str] = {}
    for value in values:
        name, equals, path = value.partition("=")
        if not (name and equals and path):
            raise click.BadParameter(f"{value!r} is not NAME=PATH or NAME@VERSION=PATH")
        if name in apps:
            raise click.BadParameter(f"{name} is given twice; give one of them a version: {name}@VERSION=PATH")
        apps[name] = path
    return apps


def _store(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and ":" in value.partition("://")[2].rpartition("@")[0]:
        raise click.BadParameter(
            "has a password, which everybody on the machine can read here: give it in SGW_STORE_PASSWORD, or in the "
            "file of store.password_file"
        )
    return value


@click.command(
    "serve",
    epilog=examples(
        "sgw serve --app kv=examples/kv",
        "sgw serve --listen 127.0.0.1:0 --data-dir /tmp/gateway --app kv@1=old/kv --app kv@2=new/kv",
        "sgw serve --config gateway.toml --log-format json",
        "sgw serve --listen 0.0.0.0:50151 --tls-cert server.pem --tls-key server.key --client-ca clients.pem",
    ),
)
@click.option("--listen", metavar="HOST:PORT", help="Where to listen. Port 0 takes a free one.  [127.0.0.1:50151]")
@click.option("--data-dir", metavar="DIR", help="Where sessions and deployed apps are kept.")
@click.option(
    "--app",
    "apps",
    metavar="NAME[@VERSION]=PATH",
    multiple=True,
    callback=_apps,
    help="Serve an app from its directory. Repeatable; of several versions of a name the last one is the current one.",
)
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="A TOML file with settings.")
@click.option("--tls-cert", metavar="FILE", help="Serve TLS with this certificate (PEM). Read again when it changes.")
@click.option("--tls-key", metavar="FILE", help="Its private key (PEM).")
@click.option("--client-ca", metavar="FILE", help="Refuse clients without a certificate of these authorities (PEM).")
@click.option("--insecure", is_flag=True, default=None, help="Listen where others can connect, with nothing encrypted.")
@click.option("--auth", metavar="auto|keys|open", help="Whether callers need an API key (sgw key create).  [auto]")
@click.option(
    "--store",
    "store_url",
    metavar="sqlite|URL",
    callback=_store,
    help="Where the records of sessions are: in the data directory, or in Redis.  [sqlite]",
)
@click.option(
    "--cluster-listen", metavar="HOST:PORT", help="Be one of several gateways on the Redis, which reach it here."
)
@click.option("--processes", metavar="N", help="Gateway processes on the one port.  [1]")
@click.option("--pool", metavar="local|ray", help="Where workers are: on this machine, or on a Ray cluster.  [local]")
@click.option("--ray-address", metavar="HOST:PORT", help="The Ray cluster.  [the one that this machine is a node of]")
@click.option("--max-workers", metavar="N", help="Worker processes at a time.")
@click.option("--min-idle", metavar="N", help="Workers kept ready for each app.")
@click.option("--queue-time", metavar="SECONDS", help="How long a call waits for a worker.")
@click.option(
    "--drain", metavar="keep|end", help="Whether sessions outlive the gateway for the next one. Default keep."
)
@click.option("--drain-grace", metavar="SECONDS", help="How long calls in flight may go on after SIGTERM.")
@click.option("--metrics-address", metavar="HOST:PORT", help="Where /metrics is served over HTTP.  [nowhere]")
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error.")
@click.option("--log-format", metavar="FORMAT", help="text or json.")
def serve(config: Path | None, **flags: Any) -> int:
    """Run a gateway in the foreground, until SIGTERM or Ctrl-C.

    It prints `listening on HOST:PORT` when it is ready; its log goes to standard error. Every setting can also come
    from the environment (SGW_...) or the file of --config.
    """
    settings = load_settings(settings_tree(flags), config, flag_names())
    process_environment.apply()
    if settings.processes > 1:
        return supervise(settings, lambda *member: int(_main().run_member(*member)))
    return int(_main().run(settings))


def _main() -> Any:
    # Not before: what apply() sets is read when grpc is loaded, and a process that has loaded it must not be forked.
    return importlib.import_module("gateway.main")


def settings_tree(flags: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that flags of the command set, without what was left out."""
    tree: dict[str, Any] = {}
    for name, value in flags.items():
        if value is None or value == {}:
            continue
        section = _SECTIONS.get(name)
        if section is None:
            tree[name] = value
        else:
            tree.setdefault(section, {})[name.removeprefix(f"{section}_")] = value
    return tree


def flag_names() -> dict[str, str]:
    """Return the flag of each setting that has one, by the setting's dotted path."""
    found = {}
    for parameter in serve.params:
        name = str(parameter.name)
        section = _SECTIONS.get(name)
        found[f"{section}.{name.removeprefix(f'{section}_')}" if section else name] = parameter.opts[0]
    return {path: flag for path, flag in found.items() if path in setting_paths()}
