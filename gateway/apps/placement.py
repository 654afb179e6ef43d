"""`[ray]` of `app.toml`: what Ray is to see to for each worker of the app. Only the pool of Ray takes notice of it."""

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from gateway.apps.limits import Size
from gateway.model import Placement

MAX_AMOUNT = 1_000_000

RESERVED = frozenset({"CPU", "GPU", "memory", "object_store_memory"})
"""Resources that have keys of their own, or that no worker has a use for."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Amount = Annotated[float, Field(ge=0, le=MAX_AMOUNT, allow_inf_nan=False)]


class RayTable(BaseModel):
    """The keys of `[ray]`, all optional."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    cpus: Amount = Field(0, description="Processors that a worker takes of those that a machine says it has.")
    gpus: Amount = Field(0, description="GPUs that a worker has for itself; a part of one is possible.")
    memory: Size = Field(0, ge=0, description="Memory that a worker takes of what a machine says it has.")
    resources: dict[str, Amount] = Field(
        default_factory=dict, description="Other resources that a machine says it has, by name."
    )
    pip: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list, description="Packages that the app needs beside those of the machine."
    )
    env: dict[str, str] = Field(default_factory=dict, description="Variables of the app's environment.")
    upload: bool = Field(
        False, description="Bring the app's directory to the machine, rather than find it there under the same path."
    )

    @field_validator("gpus")
    @classmethod
    def _whole_or_part(cls, value: float) -> float:
        if value > 1 and value != int(value):
            raise ValueError("must be a whole number, or a part of one GPU")
        return value

    @field_validator("resources")
    @classmethod
    def _custom(cls, value: dict[str, float]) -> dict[str, float]:
        for name in value:
            if not name or name in RESERVED:
                raise ValueError(f"{name!r} is not the name of a resource of one's own")
        return value

    @field_validator("env")
    @classmethod
    def _variables(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not _VARIABLE.fullmatch(name) or "\0" in text:
                raise ValueError(f"{name!r} cannot be a variable")
        return value

    def placement(self) -> Placement:
        """Return what it says."""
        return Placement(**self.model_dump())
