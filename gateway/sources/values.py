"""Settings as they are shown."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr

from gateway.sources.given import Given, Key, Origin, dotted

HIDDEN = "***"
"""What is shown of a secret."""

_PASSWORD = re.compile(r"(?<=://)[^/@\s]*:[^/@\s]*(?=@)")


@dataclass(frozen=True, slots=True)
class Value:
    """One setting, or one entry of a setting that is a table."""

    path: str
    shown: Any
    """What JSON can hold, without secrets."""
    origin: Origin


def values_of(settings: BaseModel, given: Mapping[Key, Given], above: Key = ()) -> Iterator[Value]:
    """Yield every setting, in the order of the tree."""
    for name in type(settings).model_fields:
        key, value = (*above, name), getattr(settings, name)
        if isinstance(value, BaseModel):
            yield from values_of(value, given, key)
        elif isinstance(value, Mapping) and value:
            for entry, each in value.items():
                yield Value(dotted((*key, entry)), shown(each), _origin((*key, entry), given))
        else:
            yield Value(dotted(key), shown(value), _origin(key, given))


def shown(value: object) -> Any:
    """Return a value as it may be shown: of a secret that there is one, of an address with a password the address."""
    if isinstance(value, SecretStr | SecretBytes):
        return HIDDEN if value.get_secret_value() else ""
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_none=True)
    if isinstance(value, Mapping):
        return {str(name): shown(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [shown(each) for each in value]
    if isinstance(value, str | PurePath):
        return _PASSWORD.sub(HIDDEN, str(value))
    if isinstance(value, int | float) or value is None:
        return value
    return str(value)


def _origin(key: Key, given: Mapping[Key, Given]) -> Origin:
    return given[key].origin if key in given else Origin("default")
