"""A range of users, as a setting has it."""

from typing import Annotated

from pydantic import AfterValidator

_LEAST, _MOST = 1000, 2**32 - 3
"""Below are the machine's own; above are numbers that stand for none."""

_LONGEST = 21
"""Characters."""


def parse_user_range(text: str) -> tuple[int, int]:
    """Return the first and the last of `FIRST-LAST`. Raises ValueError."""
    first, _, last = text.partition("-")
    numbers = first + last
    if not (first and last and numbers.isascii() and numbers.isdecimal() and len(text) <= _LONGEST):
        raise ValueError("must be FIRST-LAST, such as 1879048192-2147483647")
    if not _LEAST <= int(first) < int(last) <= _MOST:
        raise ValueError(f"must be FIRST-LAST with {_LEAST} <= FIRST < LAST <= {_MOST}")
    return int(first), int(last)


def _checked(text: str) -> str:
    parse_user_range(text)
    return text


UserRange = Annotated[str, AfterValidator(_checked)]
