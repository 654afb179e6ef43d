"""The base classes of typed inputs and outputs, in a module of their own: who has none does without pydantic."""

from pydantic import BaseModel


class BaseAppInput(BaseModel):
    """The input of a function, checked before the function runs; what does not fit is INVALID_INPUT."""


class BaseAppOutput(BaseModel):
    """The output of a function."""
