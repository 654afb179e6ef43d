"""`[limits]` of `app.toml`: what a session of the app may take at the most."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateway.model import Limits

UNITS = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}

MIN_MEMORY = 64 * UNITS["MiB"]
"""A worker that has imported nothing of the app takes 25 MiB of it, and keeps 8 MiB back to answer with."""

MIN_OPEN_FILES = 32
"""A worker needs a dozen itself."""

MIN_DISK = 64 * UNITS["KiB"]
"""A worker writes some lines itself."""

MAX_SIZE = 2**60
MAX_SECONDS = 10 * 365 * 24 * 3600.0

_SIZE = re.compile(r"(\d{1,19}) ?([KMGT]i)?B")


def parse_size(value: Any) -> Any:
    """Return the bytes of a size such as "512MiB"; anything but text as it is. Raises ValueError."""
    if not isinstance(value, str):
        return value
    found = _SIZE.fullmatch(value)
    if found is None:
        raise ValueError('must be a number of bytes, or text such as "512MiB" (B, KiB, MiB, GiB or TiB)')
    return int(found[1]) * UNITS[f"{found[2] or ''}B"]


Size = Annotated[int, BeforeValidator(parse_size), Field(le=MAX_SIZE)]


class LimitsTable(BaseModel):
    """The keys of `[limits]`, all optional. What is left out is not limited."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    memory: Annotated[Size, Field(ge=MIN_MEMORY)] | None = Field(None, description="Memory of a worker.")
    open_files: Annotated[int, Field(ge=MIN_OPEN_FILES, le=2**20)] | None = Field(
        None, description="Open files of one process."
    )
    processes: Annotated[int, Field(ge=0, le=2**20)] | None = Field(
        None, description="Processes that a worker has started, at a time."
    )
    disk: Annotated[Size, Field(ge=MIN_DISK)] | None = Field(
        None, description="Size of a worker's working and temporary directories together."
    )
    call: Annotated[float, Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False)] | None = Field(
        None, description="Seconds that a call may take."
    )
    max_lifetime: Annotated[float, Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False)] | None = Field(
        None, description="Seconds that a session may live."
    )

    def limits(self) -> Limits:
        """Return the limits."""
        return Limits(**self.model_dump())
