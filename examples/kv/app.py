"""A key-value store in memory: the smallest app whose session is worth something."""

from pydantic import ConfigDict, Field, JsonValue

from sessiongateway.app import BaseApp, BaseAppInput, BaseAppOutput

# A misspelt optional field would otherwise be ignored without a word.
STRICT = ConfigDict(extra="forbid")


class RunInput(BaseAppInput):
    """Any JSON object: its entries are stored, except for `action`."""

    model_config = ConfigDict(extra="allow")

    action: JsonValue = Field(default=None, description="What this call is about, in the caller's own words; echoed.")


class RunOutput(BaseAppOutput):
    """What this instance has seen so far."""

    calls: int = Field(description="Calls of `run` that this instance has answered, this one included.")
    action: JsonValue = Field(description="The action of this call; null if it named none.")
    state: dict[str, JsonValue] = Field(description="Everything that is stored now.")


class SetInput(BaseAppInput):
    """A value to store."""

    model_config = STRICT

    key: str = Field(description="The name to store the value under; a value that is there is replaced.")
    value: JsonValue = Field(description="Any JSON value, null included.")


class SetOutput(BaseAppOutput):
    """The value is stored."""

    success: bool = Field(description="Always true: a store in memory does not refuse.")


class KeyInput(BaseAppInput):
    """Which entry is meant."""

    model_config = STRICT

    key: str = Field(description="The name that the value was stored under.")


class GetInput(KeyInput):
    """A value to look up."""


class GetOutput(BaseAppOutput):
    """The value, if there is one."""

    value: JsonValue = Field(description="The stored value; null also when there is none.")
    found: bool = Field(description="Whether the key is there. Tells a stored null from a missing key.")


class DeleteInput(KeyInput):
    """An entry to remove."""


class DeleteOutput(BaseAppOutput):
    """The key is not there any more."""

    deleted: bool = Field(description="Whether the key was there.")


class KeysInput(BaseAppInput):
    """Which keys to list."""

    model_config = STRICT

    prefix: str = Field(default="", description="Only keys that begin with this.")
    limit: int = Field(default=1000, ge=1, le=10_000, description="How many keys to return at most.")


class KeysOutput(BaseAppOutput):
    """The keys that fit."""

    keys: list[str] = Field(description="The keys, in the order in which they were first stored.")
    total: int = Field(description="How many keys fit in all; more than `keys` holds when the limit cut it.")


class App(BaseApp):
    """One store for each worker, and so for each session."""

    def __init__(self) -> None:
        self._state: dict[str, JsonValue] = {}
        self._calls = 0

    async def run(self, input: RunInput) -> RunOutput:
        """Store every entry of the object but `action`, then tell how many calls there were and what is stored."""
        self._calls += 1
        self._state.update(input.model_extra or {})
        return RunOutput(calls=self._calls, action=input.action, state=self._state)

    async def set_value(self, input: SetInput) -> SetOutput:
        """Store a value under a key."""
        self._state[input.key] = input.value
        return SetOutput(success=True)

    async def get_value(self, input: GetInput) -> GetOutput:
        """Look a key up."""
        return GetOutput(value=self._state.get(input.key), found=input.key in self._state)

    async def delete(self, input: DeleteInput) -> DeleteOutput:
        """Remove a key and its value."""
        found = input.key in self._state
        self._state.pop(input.key, None)
        return DeleteOutput(deleted=found)

    async def keys(self, input: KeysInput) -> KeysOutput:
        """List the keys."""
        keys = [key for key in self._state if key.startswith(input.prefix)]
        return KeysOutput(keys=keys[: input.limit], total=len(keys))
