"""The settings of `ray`."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from gateway.sources.checking import Contradiction
from gateway.sources.section import Section

TLS_FILES = ("tls_cert", "tls_key", "tls_ca")


class RaySettings(Section):
    """Ray, for `workers.pool = "ray"`."""

    address: str = Field(
        "auto",
        description="The cluster, `HOST:PORT` of its head. `auto`: the one that this machine is a node of. The "
        "gateway's machine is a node in any case, if only one without resources (`ray start --num-cpus 0`).",
    )
    namespace: str = Field(
        "sessiongateway",
        description="The namespace of the actors. Gateways that take over each other's sessions have the same.",
    )
    tls_cert: Path | None = Field(
        None,
        description="PEM file of the certificate that gateways and workers show each other, good for servers and for "
        "clients, at the same path on every node. With it, its key and the authority's file, what they say to each "
        "other is encrypted.",
    )
    tls_key: Path | None = Field(None, description="PEM file of its private key, not encrypted.")
    tls_ca: Path | None = Field(
        None, description="PEM file of the authorities of these certificates. It should sign for nothing else."
    )

    @field_validator("address")
    @classmethod
    def _of_a_cluster(cls, value: str) -> str:
        if value.startswith("ray://"):
            raise ValueError("is that of Ray's client server: a gateway needs the head's own, HOST:PORT, or auto")
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        given = [name for name in TLS_FILES if getattr(self, name) is not None]
        if given and len(given) < len(TLS_FILES):
            missing = " and ".join(name for name in TLS_FILES if name not in given)
            raise Contradiction(f"{given[0]} is given without {missing}: TLS needs all of them", f"ray.{given[0]}")
        return self


def _used(value: RaySettings, info: ValidationInfo) -> RaySettings:
    workers = info.data.get("workers")
    if value.model_fields_set and workers is not None and workers.pool != "ray":
        name = min(value.model_fields_set)
        raise Contradiction(f"{name} is given, and workers.pool is {workers.pool}", f"ray.{name}")
    return value


RayWhereItIsUsed = Annotated[RaySettings, AfterValidator(_used)]
"""As a field after `workers`: nothing of it is given where it would have no effect."""
