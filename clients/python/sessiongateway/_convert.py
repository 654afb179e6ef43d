"""Between what callers write and read and the messages of the protocol."""

import difflib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from google.protobuf import duration_pb2, json_format, struct_pb2, timestamp_pb2

from sessiongateway._types import AppInfo, FunctionInfo, RunResult, SessionInfo, WatchEvent
from sessiongateway.v1 import apps_pb2, errors_pb2, sessions_pb2

_FIELD_TYPES: dict[str, type] = {
    "app": str,
    "function": str,
    "session": str,
    "session_timeout": int,
    "worker_id": str,
    "request_id": str,
    "expected_call_count": int,
}


def run_request(fields: Mapping[str, Any]) -> sessions_pb2.RunRequest:
    """Build the request of a run.

    A field that is None counts as left out. A left-out input is sent as an empty object rather than as none, since
    the answer comes in the form of the request and only JSON text keeps integers exact.

    Raises:
        TypeError: A field is unknown or has the wrong type, or the input holds what JSON does not have.
        ValueError: `app` is missing, or the input holds NaN, an infinity, a cycle, or text that is not Unicode.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    _refuse_unknown(fields)
    if "app" not in given:
        raise ValueError("a run needs the field 'app'")
    request = sessions_pb2.RunRequest(input_json=encode_input(given.pop("input", {})))
    for name, value in given.items():
        expected = _FIELD_TYPES[name]
        if not isinstance(value, expected) or isinstance(value, bool):
            raise TypeError(f"the field {name!r} must be {expected.__name__}, not {type(value).__name__}")
        setattr(request, name, value)
    return request


def _refuse_unknown(fields: Mapping[str, Any]) -> None:
    known = [*_FIELD_TYPES, "input"]
    unknown = [name for name in fields if name not in known]
    if not unknown:
        return
    hints = []
    for name in unknown:
        near = difflib.get_close_matches(str(name), known, n=1)
        hints.append(f"{name!r} (did you mean {near[0]!r}?)" if near else repr(name))
    raise TypeError(f"run does not know {', '.join(hints)}; its fields are {', '.join(known)}")


def encode_input(value: Any) -> bytes:
    """Return a JSON object as UTF-8 text. Pydantic models are dumped, also inside of dicts and lists.

    Raises:
        TypeError: It is not a JSON object, or holds what JSON does not have.
        ValueError: It holds NaN, an infinity, a cycle, or text that is not Unicode, or is nested too deeply.
    """
    if _is_model(value):
        value = _dump_model(value)
    if not isinstance(value, Mapping):
        raise TypeError(f"the input must be a JSON object (a dict), not {type(value).__name__}")
    if not isinstance(value, dict):
        value = dict(value)
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=_dump_model)
        return text.encode()
    except RecursionError:
        raise ValueError("the input is nested too deeply") from None
    except UnicodeEncodeError as error:
        raise ValueError(f"the input holds text that is not Unicode: {error.reason}") from None
    except ValueError as error:
        raise ValueError(f"the input cannot be sent as JSON: {error}") from None


def _is_model(value: Any) -> bool:
    return hasattr(value, "model_dump_json") and not isinstance(value, type)


def _dump_model(value: Any) -> Any:
    if not _is_model(value):
        raise TypeError(f"a value of type {type(value).__name__} cannot be sent as JSON")
    # Not model_dump_json: that writes NaN as null, which would change the input behind the caller's back.
    return value.model_dump(mode="json")


def run_result(response: sessions_pb2.RunResponse) -> RunResult:
    """Decode the answer of a run.

    Raises:
        ValueError: The output is not JSON.
    """
    form = response.WhichOneof("result")
    return RunResult(
        session_id=response.session_id,
        output=_object(getattr(response, form)) if form else {},
        call_id=response.call_id,
        session=session_info(response.session) if response.HasField("session") else None,
    )


def partial_output(response: sessions_pb2.RunStreamResponse) -> Any:
    """Decode a part of a run's answer that is not the result.

    Raises:
        ValueError: It is not JSON.
    """
    return _object(getattr(response, response.WhichOneof("part") or "partial_json"))


def _object(value: struct_pb2.Struct | bytes) -> Any:
    return json.loads(value) if isinstance(value, bytes) else json_format.MessageToDict(value)


def session_info(session: sessions_pb2.Session) -> SessionInfo:
    """Decode a session."""
    return SessionInfo(
        id=session.id,
        app=session.app,
        version=session.version,
        status=enum_word(sessions_pb2.SessionStatus, "SESSION_STATUS_", session.status),
        end_reason=end_reason(session.end_reason),
        worker_id=session.worker_id,
        session_timeout=session.session_timeout,
        created_at=_moment(session.created_at) if session.HasField("created_at") else None,
        expires_at=_moment(session.expires_at) if session.HasField("expires_at") else None,
        expires_in=session.expires_in.ToTimedelta(),
        last_call_at=_moment(session.last_call_at) if session.HasField("last_call_at") else None,
        ended_at=_moment(session.ended_at) if session.HasField("ended_at") else None,
        call_count=session.call_count,
        worker_exit=worker_exit(session.worker_exit) if session.HasField("worker_exit") else None,
    )


def watch_event(response: sessions_pb2.WatchSessionsResponse) -> WatchEvent:
    """Decode a message of a watch."""
    return WatchEvent(
        event=enum_word(sessions_pb2.SessionEvent, "SESSION_EVENT_", response.event),
        session=session_info(response.session) if response.HasField("session") else None,
        occurred_at=_moment(response.occurred_at),
        resume_token=response.resume_token,
    )


def session_status(name: str) -> "sessions_pb2.SessionStatus.ValueType":
    """Return the status of a name such as "active".

    Raises:
        ValueError: There is no such status.
    """
    names = {key.removeprefix("SESSION_STATUS_").lower(): value for key, value in sessions_pb2.SessionStatus.items()}
    del names["unspecified"]
    if name not in names:
        raise ValueError(f"{name!r} is not a session status; those are {', '.join(names)}")
    return names[name]


def app_info(app: apps_pb2.App) -> AppInfo:
    """Decode an app.

    Raises:
        ValueError: A schema is not JSON.
    """
    functions = [
        FunctionInfo(
            name=function.name,
            description=function.description,
            input_schema=json.loads(function.input_schema or "{}"),
            output_schema=json.loads(function.output_schema or "{}"),
            streams=function.streams,
            partial_schema=json.loads(function.partial_schema or "{}"),
        )
        for function in app.functions
    ]
    return AppInfo(
        name=app.name,
        version=app.version,
        current_version=app.current_version,
        versions=list(app.versions),
        default_function=app.default_function,
        functions=functions,
        concurrency=app.concurrency,
        idle_worker_ids=list(app.idle_worker_ids),
    )


def end_reason(number: int) -> str | None:
    """Return the reason as a word, or None for unspecified."""
    return enum_word(errors_pb2.EndReason, "END_REASON_", number) if number else None


def worker_exit(message: errors_pb2.WorkerExit) -> dict[str, int]:
    """Return {"exit_code": n} or {"signal": n}; {} if neither is known."""
    how = message.WhichOneof("how")
    return {how: getattr(message, how)} if how else {}


def enum_word(enum: Any, prefix: str, number: int) -> str:
    """Return the lower-case name of an enum's value; "unknown_N" for one that only a newer gateway knows."""
    value = enum.DESCRIPTOR.values_by_number.get(number)
    return f"unknown_{number}" if value is None else str(value.name).removeprefix(prefix).lower()


def seconds(duration: duration_pb2.Duration) -> float:
    """Return a duration in seconds."""
    return duration.seconds + duration.nanos / 1e9


def _moment(timestamp: timestamp_pb2.Timestamp) -> datetime:
    return timestamp.ToDatetime(tzinfo=UTC)
