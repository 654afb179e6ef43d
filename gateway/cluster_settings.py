"""Several gateways on one store: the settings of `cluster`."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from gateway.sources.addresses import is_host_and_port
from gateway.sources.checking import Contradiction
from gateway.sources.section import Section

MIN_TAKEOVER = 2

Takeover = Annotated[float, Field(ge=MIN_TAKEOVER, allow_inf_nan=False)]


class ClusterSettings(Section):
    """Several gateways on one Redis, any of which takes any request."""

    listen: str = Field(
        "",
        description="Address on which this gateway takes what other gateways on the same `store.prefix` pass on to it, "
        "`HOST:PORT`. Port 0 takes any free one. Empty: it has the prefix for itself.",
    )
    advertise: str = Field(
        "",
        description="Address by which the other gateways reach it, `HOST:PORT`. Empty: that of `listen`. Port 0 is "
        "that of `listen`, too.",
    )
    takeover: Takeover = Field(
        10.0,
        description="Seconds after which others take over the sessions of a gateway that is not heard of, at least 2. "
        "With workers that others do not reach those sessions are lost then: choose it longer than a restart takes.",
    )
    tls_cert: Path | None = Field(
        None, description="PEM file of the certificate that gateways show one another. Connections are in TLS then."
    )
    tls_key: Path | None = Field(None, description="PEM file of its private key, not encrypted.")
    tls_ca: Path | None = Field(
        None, description="PEM file of the authorities of the gateways, besides which none is trusted."
    )

    @field_validator("listen")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        if value and not is_host_and_port(value):
            raise ValueError("must be HOST:PORT with a port from 0 to 65535, such as 10.0.0.1:50152 or [::1]:0")
        return value

    @field_validator("advertise")
    @classmethod
    def _reachable(cls, value: str) -> str:
        if value and not is_host_and_port(value):
            raise ValueError("must be HOST:PORT with a port from 0 to 65535, such as gateway-1.example:50152")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        given = self.model_fields_set - {"listen"}
        if not self.listen and given:
            name = min(given)
            raise Contradiction(
                f"{name} is given without listen: the gateway has its prefix for itself", f"cluster.{name}"
            )
        tls = {name: getattr(self, name) for name in ("tls_cert", "tls_key", "tls_ca")}
        missing = [name for name, path in tls.items() if path is None]
        if missing and len(missing) < len(tls):
            present = next(name for name in tls if name not in missing)
            raise Contradiction(f"{present} is given without {missing[0]}: TLS needs all three", f"cluster.{present}")
        host = self.listen.rpartition(":")[0].strip("[]")
        if host in ("0.0.0.0", "::") and not self.advertise:
            text = f"advertise is missing: others cannot connect to {host}, which stands for all addresses of a machine"
            raise Contradiction(text, "cluster.listen")
        return self
