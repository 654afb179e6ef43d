"""One table of a tree of settings, and the kinds of numbers in it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """Settings that stand together. Their descriptions, and the docstring of the class, are the reference."""

    model_config = ConfigDict(frozen=True, extra="forbid")
