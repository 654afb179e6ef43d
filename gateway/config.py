"""One tree of settings: parsed once, checked once with all errors together, passed down.

Where a value comes from, the first that has it: a flag of `sgw serve`, the environment (`SGW_` and the path of the
setting in capitals, such as `SGW_WORKERS_MAX_WORKERS`), the file of `--config` (TOML, one table for each section), the
default. docs/configuration.md is generated from the descriptions below.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from gateway.auth_settings import AuthSettings
from gateway.cluster_settings import ClusterSettings
from gateway.connection_settings import ConnectionSettings
from gateway.ray_settings import RaySettings, RayWhereItIsUsed
from gateway.sources.addresses import is_host_and_port
from gateway.sources.checking import Contradiction, checked
from gateway.sources.file import from_file
from gateway.sources.given import Given, Key, Known
from gateway.sources.section import Count, Positive, Seconds
from gateway.sources.section import Section as _Section
from gateway.sources.values import Value, values_of
from gateway.sources.variables import from_environment, from_flags, variable
from gateway.store_settings import StoreSettings
from gateway.worker_settings import WorkerSettings

ENVIRONMENT_PREFIX = "SGW_"

CLIENT_VARIABLES = frozenset({"SGW_ADDRESS", "SGW_API_KEY", "SGW_TLS", "SGW_TLS_CA", "SGW_TLS_CERT", "SGW_TLS_KEY"})
"""Variables with the prefix that the clients read and the server does not."""

MAX_PROCESSES = 64
MIN_HANG_TIMEOUT = 3.0


class ConfigError(Exception):
    """Settings that cannot be used. `problems` has one line for each, all of them at once."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _checked_address(value: str) -> str:
    if not is_host_and_port(value):
        raise ValueError("must be HOST:PORT with a port from 0 to 65535, such as 127.0.0.1:50151 or [::1]:0")
    return value


class _ListenSettings(_Section):
    listen: str = Field(
        "127.0.0.1:50151", description="Address to listen on, `HOST:PORT`. Port 0 takes any free one and prints it."
    )
    tls_cert: Path | None = Field(
        None,
        description="PEM file of the certificate, with what leads from it to the authority, to serve TLS with. A file "
        "that changes is read again, and used for new connections.",
    )
    tls_key: Path | None = Field(None, description="PEM file of its private key, not encrypted.")
    client_ca: Path | None = Field(
        None,
        description="PEM file of the authorities of clients. A client without a certificate of one of them is refused "
        "in the handshake.",
    )
    insecure: bool = Field(
        False, description="Allow an address that is not loopback without TLS, where everybody can read along."
    )
    auth: Literal["auto", "keys", "open"] = Field(
        "auto",
        description="Whether callers need an API key of `sgw key create`. `keys`: always. `open`: never. `auto`: from "
        "the first key on that is created in the data directory; and always on an address that is not loopback, "
        "unless `client_ca` or `insecure` says that others are kept out. See `[auth]` for tokens and certificates.",
    )
    transport: Literal["auto", "nghttp2", "grpcio"] = Field(
        "auto",
        description="What speaks HTTP/2. `nghttp2`: the gateway's own, several times faster. `grpcio`: gRPC's. `auto`: "
        "nghttp2 where its extension was built, else grpcio; the log says which.",
    )
    reflection: bool = Field(True, description="Serve reflection, so that grpcurl needs no proto file.")
    max_input_bytes: Positive = Field(
        4 * 1024 * 1024, description="Largest input of one call, in bytes. A larger one is INVALID_REQUEST."
    )
    max_output_bytes: Positive = Field(
        4 * 1024 * 1024,
        description="Largest output of one call, in bytes. A larger one is APP_ERROR. gRPC clients refuse more than "
        "4 MiB unless they are told otherwise.",
    )
    drain: Literal["keep", "end"] = Field(
        "keep",
        description="What becomes of sessions when the gateway is stopped. `keep`: their workers live on, and the next "
        "gateway on the data directory takes them over. `end`: they are ended.",
    )
    drain_grace: Seconds = Field(30.0, description="Seconds that calls in flight get to finish after SIGTERM.")
    hang_timeout: Seconds = Field(
        30.0,
        description="With several processes: seconds after which one that does not answer is killed and started again; "
        "its sessions live on. 0: never. At least 3 otherwise. After a third of it, or ten seconds, the log says so.",
    )

    @field_validator("listen")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        return _checked_address(value)

    @field_validator("hang_timeout")
    @classmethod
    def _longer_than_work(cls, value: float) -> float:
        if 0 < value < MIN_HANG_TIMEOUT:
            raise ValueError(f"must be 0 or at least {MIN_HANG_TIMEOUT:g}: a process that is busy is not to be killed")
        return value

    @model_validator(mode="after")
    def _whole_pair(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            given, missing = ("tls_cert", "tls_key") if self.tls_key is None else ("tls_key", "tls_cert")
            raise Contradiction(f"{given} is given without {missing}: TLS needs both", f"server.{given}")
        if self.client_ca is not None and self.tls_cert is None:
            text = "client_ca is given without tls_cert and tls_key: certificates are part of TLS"
            raise Contradiction(text, "server.client_ca")
        return self


class ServerSettings(ConnectionSettings, _ListenSettings):
    """The listening side."""


class SessionSettings(_Section):
    """Sessions and their records."""

    queue_size: Count = Field(
        64, description="Calls of one session that may wait behind the running ones. More are SESSION_BUSY."
    )
    retention: Seconds = Field(
        24 * 3600.0, description="Seconds for which an ended or expired session stays readable, before it is purged."
    )
    journal_entries: Positive = Field(
        10_000,
        description="Answers kept in memory for repeats of a request_id. The oldest go first. Those of calls in a "
        "session are kept in its worker besides, for as long as the session lasts.",
    )
    journal_bytes: Positive = Field(64 * 1024 * 1024, description="Size of those answers together, in bytes.")
    journal_window: Seconds = Field(600.0, description="Seconds for which an answer is kept for repeats at the most.")


class Quota(_Section):
    """What one caller may take. Without a number it is as much as there is."""

    live_sessions: Positive | None = Field(None, description="Sessions that a caller may have at a time.")
    new_sessions_per_minute: Positive | None = Field(
        None, description="Sessions that a caller may open in a minute. So many may be opened at once."
    )
    calls_per_second: Positive | None = Field(
        None, description="Calls that a caller may begin in a second, of whatever kind. So many may begin at once."
    )
    input_bytes: Positive | None = Field(None, description="Largest input of a caller's call, in bytes.")


class QuotaSettings(Quota):
    """What each caller may take. More is QUOTA_EXCEEDED."""

    principals: dict[str, Quota] = Field(
        default_factory=dict,
        description="Quotas of single callers, by principal. What is not set there is as for everyone.",
    )

    def of(self, principal: str) -> Quota:
        """Return what a caller may take."""
        return self._whole.get(principal, self)

    @property
    def limited(self) -> bool:
        """Whether anything is set for anyone."""
        quotas = (self, *self.principals.values())
        return any(quota.model_dump(exclude={"principals"}, exclude_none=True) for quota in quotas)

    @cached_property
    def _whole(self) -> Mapping[str, Quota]:
        common = self.model_dump(exclude={"principals"})
        return {
            principal: Quota(**{**common, **quota.model_dump(exclude_none=True)})
            for principal, quota in self.principals.items()
        }


class MetricsSettings(_Section):
    """Numbers for Prometheus."""

    address: str = Field(
        "",
        description="Where `/metrics` is served over HTTP: `HOST:PORT`, or `:PORT` on loopback. Port 0 takes any free "
        "one; the log has it. Empty: nowhere, and calls are not counted. Nobody is asked who reads it: it has names of "
        "apps and numbers, no ids.",
    )

    @field_validator("address")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        if not value:
            return value
        host, _, port = value.rpartition(":")
        return _checked_address(f"{host or '127.0.0.1'}:{port}")


class TracingSettings(_Section):
    """Spans of calls, for a collector of OpenTelemetry."""

    endpoint: str = Field(
        "",
        description="Where spans are sent by OTLP: `grpc://HOST:PORT` (commonly 4317) or `http://HOST:PORT/v1/traces` "
        "(4318), with TLS `grpcs://` or `https://`. Headers and certificates come from OpenTelemetry's own variables, "
        "`OTEL_EXPORTER_OTLP_...`. Needs the extra `tracing`. Empty: nowhere, and calls are not traced.",
    )
    sample_ratio: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = Field(
        1.0,
        description="Which part of the calls is traced whose callers have not decided it in their `traceparent`, 0 to "
        "1.",
    )

    @field_validator("endpoint")
    @classmethod
    def _url(cls, value: str) -> str:
        scheme, _, rest = value.partition("://")
        host = rest.partition("/")[0]
        if value and (scheme not in ("grpc", "grpcs", "http", "https") or not host or "@" in host):
            raise ValueError("must be grpc://HOST:PORT or http://HOST:PORT/v1/traces, such as grpc://127.0.0.1:4317")
        return value


class LogSettings(_Section):
    """The gateway's log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severity that is logged.")
    format: Literal["text", "json"] = Field("text", description="Lines for people, or one JSON object a line.")


def default_data_dir() -> Path:
    """Return the data directory of a user who names none (XDG base directory specification)."""
    home = os.environ.get("XDG_DATA_HOME") or Path("~/.local/share").expanduser()
    return Path(home) / "session-gateway"


class Settings(BaseModel):
    """All settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path = Field(
        default_factory=default_data_dir,
        description="Directory of the store, the deployed apps and the workers' files, for one gateway at a time.",
    )
    apps: dict[str, Path] = Field(
        default_factory=dict,
        description="Directories served as apps, `NAME` or `NAME@VERSION` to path, beside those that are deployed.",
    )
    processes: Annotated[int, Field(ge=1, le=MAX_PROCESSES)] = Field(
        1,
        description="Gateway processes that share the port and the data directory. Any of them serves any session. "
        "More than one is worth it when one core does not suffice.",
    )
    server: ServerSettings = ServerSettings()
    auth: AuthSettings = AuthSettings()
    sessions: SessionSettings = SessionSettings()
    store: StoreSettings = StoreSettings()
    cluster: ClusterSettings = ClusterSettings()
    workers: WorkerSettings = WorkerSettings()
    ray: RayWhereItIsUsed = RaySettings()
    quotas: QuotaSettings = QuotaSettings()
    metrics: MetricsSettings = MetricsSettings()
    tracing: TracingSettings = TracingSettings()
    log: LogSettings = LogSettings()

    @field_validator("data_dir")
    @classmethod
    def _from_anywhere(cls, value: Path) -> Path:
        return value.absolute()  # workers have a working directory of their own

    @field_validator("workers")
    @classmethod
    def _a_worker_for_each_process(cls, value: WorkerSettings, info: ValidationInfo) -> WorkerSettings:
        processes = info.data.get("processes", 1)
        if value.max_workers < processes:
            text = f"max_workers must be at least {processes}: each of the gateway's processes has its part"
            raise Contradiction(text, "workers.max_workers", "processes")
        if value.pool == "ray" and processes > 1:
            raise Contradiction("processes must be 1 with workers on Ray", "processes", "workers.pool")
        if value.pool == "ray" and value.isolation in ("user", "sandbox"):
            text = f"isolation {value.isolation} is not to be had on Ray, whose workers run as Ray's own user does"
            raise Contradiction(text, "workers.isolation", "workers.pool")
        return value

    @field_validator("store")
    @classmethod
    def _of_one_process(cls, value: StoreSettings, info: ValidationInfo) -> StoreSettings:
        if not value.embedded and info.data.get("processes", 1) > 1:
            given = "store.factory" if value.factory else "store.url"
            text = f"processes must be 1 with {given}: only the embedded store is for several processes of one gateway"
            raise Contradiction(text, "processes", given)
        return value

    @field_validator("cluster")
    @classmethod
    def _on_one_redis(cls, value: ClusterSettings, info: ValidationInfo) -> ClusterSettings:
        if value.listen and info.data.get("processes", 1) > 1:
            text = "processes must be 1 with cluster.listen: several gateways are several processes already"
            raise Contradiction(text, "processes", "cluster.listen")
        if value.listen and "store" in info.data and info.data["store"].address is None:
            text = "cluster.listen is given, and the store is not in Redis: several gateways need a store.url for all"
            raise Contradiction(text, "cluster.listen", "store.url")
        return value

    @field_validator("auth")
    @classmethod
    def _asked_for(cls, value: AuthSettings, info: ValidationInfo) -> AuthSettings:
        server = info.data.get("server", ServerSettings())
        if value.certificates_file is not None and server.client_ca is None:
            text = "certificates_file is given without server.client_ca: nobody would be asked for a certificate"
            raise Contradiction(text, "auth.certificates_file")
        if value.given and server.auth == "open":
            raise Contradiction(f'{value.given} is given, and server.auth is "open"', f"auth.{value.given}")
        return value


@dataclass(frozen=True)
class Loaded:
    """Settings, where they come from, and what is wrong."""

    settings: Settings
    """Of what is right; the rest is as if it had not been given."""
    given: Mapping[Key, Given]
    """What was given and is right, by its path. What is not here is a default."""
    problems: list[str]


def load(
    flags: Mapping[str, Any] | None = None,
    config_file: Path | None = None,
    flag_names: Mapping[str, str] | None = None,
) -> Settings:
    """Return the settings from flags (a tree as in `Settings`), environment, file and defaults.

    `flag_names` has the flag of a setting's dotted path, for messages. Raises ConfigError with every problem that
    there is.
    """
    loaded = read(flags, config_file, flag_names)
    if loaded.problems:
        raise ConfigError(loaded.problems)
    return loaded.settings


def read(
    flags: Mapping[str, Any] | None = None,
    config_file: Path | None = None,
    flag_names: Mapping[str, str] | None = None,
) -> Loaded:
    """Return the same, whatever is wrong with it."""
    known, problems = _known(), list[str]()
    given = {} if config_file is None else from_file(config_file, known, problems)
    given |= from_environment(os.environ, ENVIRONMENT_PREFIX, known, CLIENT_VARIABLES, problems)
    given |= from_flags(flags or {}, flag_names or {}, known)
    return Loaded(checked(Settings, given, problems), given, problems)


def values(loaded: Loaded) -> list[Value]:
    """Return every setting as it may be shown, and where it comes from."""
    return list(values_of(loaded.settings, loaded.given))


def environment_name(path: str) -> str:
    """Return the variable of a setting, such as SGW_WORKERS_MIN_IDLE for `workers.min_idle`."""
    return variable(ENVIRONMENT_PREFIX, tuple(path.split(".")))


def setting_paths() -> list[str]:
    """Return the dotted path of every setting, in the order of the tree."""
    paths = []
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, _Section):
            paths += [f"{name}.{leaf}" for leaf in section.model_fields]
        else:
            paths.append(name)
    return paths


def _known() -> Known:
    return {tuple(path.split(".")): get_origin(_annotation(path)) is dict for path in setting_paths()}


def _annotation(path: str) -> Any:
    model: Any = Settings
    for name in path.split("."):
        model = model.model_fields[name].annotation
    return model
