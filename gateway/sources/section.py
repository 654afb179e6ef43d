"""One table of a tree of settings."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Settings that stand together. Their descriptions, and the docstring of the class, are the reference."""

    model_config = ConfigDict(frozen=True, extra="forbid")
