"""What an app offers: its public methods, with their schemas, or the reason why one cannot be offered."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from gateway.worker.functions import AppDefinitionError, functions_of
from sessiongateway.app import BaseApp, BaseAppInput, BaseAppOutput, Result


class In(BaseAppInput):
    """A typed input."""

    n: int


class Out(BaseAppOutput):
    """A typed output."""

    n: int = Field(serialization_alias="number")


class Shape(TypedDict):
    """A plain dict with a shape."""

    n: int


class Everything(BaseApp):
    """Methods of every kind that can be offered."""

    not_a_method = 5

    def setup(self) -> None: ...
    def unload(self) -> None: ...
    def nothing(self) -> None:
        """Take nothing."""

    def plain(self, input: dict[str, Any]) -> dict[str, Any]:
        return input

    def bare(self, input):  # type: ignore[no-untyped-def]
        return input

    def any_mapping(self, input: Mapping[str, Any]) -> dict[str, object]:
        return dict(input)

    async def typed(self, input: In) -> Out:
        """Take a model.

        And return one.
        """
        return Out(n=input.n)

    def shaped(self, input: Shape) -> Shape:
        return input

    def checked(self, input: Annotated[dict[str, int], Field(min_length=1)]) -> None: ...
    def optional(self, input: In | None = None) -> None: ...
    def extra(self, input: In, *args: object, flag: bool = False, **kwargs: object) -> None: ...
    @staticmethod
    def static(input: In) -> None: ...
    @classmethod
    def of_class(cls, input: In) -> None: ...
    def _private(self, a: int, b: int) -> None: ...


def offered() -> dict[str, Any]:
    return dict(functions_of(Everything))


def test_the_public_methods_are_offered_in_order_of_their_names() -> None:
    assert list(offered()) == sorted(
        [
            "any_mapping",
            "bare",
            "checked",
            "extra",
            "nothing",
            "of_class",
            "optional",
            "plain",
            "shaped",
            "static",
            "typed",
        ]
    )


def test_a_method_that_takes_nothing_takes_no_input() -> None:
    functions = offered()
    assert not functions["nothing"].takes_input
    assert all(function.takes_input for name, function in functions.items() if name != "nothing")


@pytest.mark.parametrize("name", ["plain", "bare", "any_mapping"])
def test_a_plain_dict_is_passed_unchecked(name: str) -> None:
    function = offered()[name]
    assert function.adapter is None
    assert json.loads(function.input_schema) == {"type": "object"}


@pytest.mark.parametrize("name", ["typed", "shaped", "extra", "static", "of_class"])
def test_a_typed_input_is_checked_and_described(name: str) -> None:
    function = offered()[name]
    assert function.adapter is not None
    schema = json.loads(function.input_schema)
    assert schema["properties"]["n"]["type"] == "integer"
    assert schema["required"] == ["n"]


def test_an_output_is_described_as_it_is_sent() -> None:
    assert list(json.loads(offered()["typed"].output_schema)["properties"]) == ["number"]
    assert json.loads(offered()["nothing"].output_schema) == {"type": "object"}


def test_the_description_is_the_docstring() -> None:
    assert offered()["typed"].description == "Take a model.\n\nAnd return one."
    assert offered()["plain"].description == ""


class Streaming(BaseApp):
    """Generators, with annotations of every kind."""

    def bare(self):  # type: ignore[no-untyped-def]
        yield {}

    def iterator(self) -> Iterator[Out]:
        yield Out(n=1)

    def generator(self) -> Generator[Out, None, In]:
        yield Out(n=1)
        return In(n=1)

    async def async_iterator(self) -> AsyncIterator[Out]:
        yield Out(n=1)

    async def with_result(self) -> AsyncIterator[Out | Shape | Result[In]]:
        yield Result(In(n=1))

    async def bare_result(self) -> AsyncGenerator[Result, None]:  # type: ignore[type-arg]
        yield Result({})


def _properties(schema: str) -> list[str]:
    return list(json.loads(schema).get("properties", {}))


@pytest.mark.parametrize(
    ("name", "partial", "output"),
    [
        ("bare", [], []),
        ("iterator", ["number"], []),
        ("generator", ["number"], ["n"]),
        ("async_iterator", ["number"], []),
        ("bare_result", [], []),
    ],
)
def test_a_generator_streams_and_tells_what_it_yields_and_what_it_ends_with(
    name: str, partial: list[str], output: list[str]
) -> None:
    function = functions_of(Streaming)[name]
    assert function.streams
    assert _properties(function.partial_schema) == partial
    assert _properties(function.output_schema) == output


def test_a_result_among_what_is_yielded_is_the_output_and_no_partial_one() -> None:
    function = functions_of(Streaming)["with_result"]
    assert _properties(function.output_schema) == ["n"]
    assert len(json.loads(function.partial_schema)["anyOf"]) == 2


def test_a_function_that_returns_does_not_stream() -> None:
    function = offered()["typed"]
    assert (function.streams, function.partial_schema) == (False, "")


class TwoArguments(BaseApp):
    def f(self, a: dict[str, Any], b: dict[str, Any]) -> None: ...


class KeywordOnly(BaseApp):
    def f(self, *, needed: int) -> None: ...


class Unresolved(BaseApp):
    def f(self, input: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821


class NotForJson:
    """A class that pydantic knows nothing of."""


class Unusable(BaseApp):
    def f(self, input: NotForJson) -> None: ...


@pytest.mark.parametrize("app", [TwoArguments, KeywordOnly, Unresolved, Unusable])
def test_a_method_that_cannot_be_offered_is_named_with_the_reason(app: type[BaseApp]) -> None:
    with pytest.raises(AppDefinitionError, match=r"f\(\)"):
        functions_of(app)


def test_methods_of_a_base_of_the_app_are_offered_too() -> None:
    class Base(BaseApp):
        def shared(self) -> None: ...

    class Derived(Base):
        def own(self) -> None: ...

    assert list(functions_of(Derived)) == ["own", "shared"]


def test_a_nested_class_or_a_property_is_no_function() -> None:
    class Nested(BaseApp):
        class Model(BaseModel):
            """A type of its own."""

        @property
        def size(self) -> int:
            raise AssertionError("a property is not to be read")

    assert functions_of(Nested) == {}
