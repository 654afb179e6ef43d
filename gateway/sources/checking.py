"""From values as they were found to settings that are right, with all that is wrong on the way."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from gateway.sources.given import Given, Key, Origin
from gateway.sources.words import explain, truth_for_number

Model = TypeVar("Model", bound=BaseModel)


class Contradiction(ValueError):
    """Settings that do not go together: their dotted paths, of which the first that was given is to blame."""

    def __init__(self, text: str, *paths: str) -> None:
        super().__init__(text)
        self.paths = paths


def checked(model: type[Model], given: dict[Key, Given], problems: list[str]) -> Model:
    """Return the settings. Each value that is wrong is taken out of `given`, and told in a line of `problems`."""
    while True:
        try:
            settings = model(**_tree(given))
        except ValidationError as error:
            mistakes = [_mistake(each, given, model) for each in error.errors()]
        else:
            mistakes = _truths_for_numbers(settings, given)
        if not mistakes:
            return settings
        # Once more without them: whether the others go together shows only when each is right by itself.
        for key, text in mistakes:
            blamed = [each for each in given if each[: len(key)] == key]
            origin = given[blamed[0]].origin if blamed else Origin("default")
            problems.append(origin.problem(key, text))
        before = len(given)
        for each in [each for each in given if any(each[: len(key)] == key for key, _ in mistakes)]:
            del given[each]
        if len(given) == before:
            raise ValueError(f"the defaults cannot be used: {problems[-1]}")


def _tree(given: Mapping[Key, Given]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for (*above, name), each in given.items():
        table = tree
        for part in above:
            if not isinstance(table.get(part), dict):
                table[part] = {}
            table = table[part]
        table[name] = each.value
    return tree


def _mistake(error: ErrorDetails, given: Mapping[Key, Given], model: type[BaseModel]) -> tuple[Key, str]:
    """Return what is wrong, with the path of the setting, or of the section, that is to blame."""
    cause = error.get("ctx", {}).get("error")
    location = tuple(map(str, error["loc"]))
    if isinstance(cause, Contradiction):
        keys = [tuple(path.split(".")) for path in cause.paths]
        return next((key for key in keys if key in given), keys[0]), str(cause)
    key = next((location[:length] for length in range(len(location), 0, -1) if location[:length] in given), location)
    if _is_secret(model, key):
        error["input"] = "***"
    return key, explain(error)


def _is_secret(model: type[BaseModel], key: Key) -> bool:
    field = model.model_fields.get(key[0])
    annotation = None if field is None else field.annotation
    if len(key) > 1 and isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _is_secret(annotation, key[1:])
    return annotation is not None and SecretStr.__name__ in repr(annotation)


def _truths_for_numbers(settings: BaseModel, given: Mapping[Key, Given]) -> list[tuple[Key, str]]:
    found = []
    for key, each in given.items():
        if isinstance(each.value, bool):
            value: object = settings
            for part in key:
                value = value.get(part) if isinstance(value, Mapping) else getattr(value, part)
            if isinstance(value, int | float) and not isinstance(value, bool):
                found.append((key, truth_for_number(each.value)))
    return found
