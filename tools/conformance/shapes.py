"""What every answer of an executor looks like, whatever the scenario expects of it."""

from typing import Any

from tools.conformance.matching import moment, shown
from tools.conformance.values import Mismatch

_NONE = type(None)
_NUMBER = (int, float)

_RESULT = {"session_id": str, "output": str, "call_id": str, "session": (dict, _NONE)}
_SESSION = {
    "id": str,
    "app": str,
    "version": str,
    "status": str,
    "end_reason": (str, _NONE),
    "worker_id": str,
    "session_timeout": int,
    "created_at": (str, _NONE),
    "expires_at": (str, _NONE),
    "expires_in": _NUMBER,
    "last_call_at": (str, _NONE),
    "ended_at": (str, _NONE),
    "call_count": int,
    "worker_exit": (dict, _NONE),
}
_MOMENTS = ("created_at", "expires_at", "last_call_at", "ended_at")
_ERROR = {
    "message": (str, _NONE),
    "grpc_status": (str, _NONE),
    "class": (str, _NONE),
    "session_id": (str, _NONE),
    "run_state": (str, _NONE),
    "retry_after": (*_NUMBER, _NONE),
    "http_status": (int, _NONE),
    "end_reason": (str, _NONE),
    "call_id": (str, _NONE),
    "field_violations": (list, _NONE),
    "app_failure": (dict, _NONE),
    "worker_exit": (dict, _NONE),
    "session_app": (str, _NONE),
    "requested_app": (str, _NONE),
    "error_id": (str, _NONE),
    "metadata": (dict, _NONE),
}


def check_answer(op: str, answer: dict[str, Any]) -> None:
    """Raise Mismatch if an answer is not one that the protocol has for the operation."""
    kinds = [kind for kind in ("ok", "error") if isinstance(answer.get(kind), dict)]
    if len(kinds) != 1:
        raise Mismatch(f"the answer is neither ok nor error: {shown(answer)}")
    body = answer[kinds[0]]
    if kinds == ["error"]:
        _check_error(body, "error")
    else:
        _check_ok(op, body)


def _check_ok(op: str, body: dict[str, Any]) -> None:
    if op in ("run", "handle_call"):
        _check_result(body, "ok")
    elif "result" in body:
        _check_result(body["result"], "ok.result")
    elif op in ("get", "keepalive", "end"):
        _check_session(body.get("session"), "ok.session")
    elif body.get("session"):
        _check_session(body["session"], "ok.session")
    elif op == "list":
        for position, session in enumerate(body.get("sessions", ())):
            _check_session(session, f"ok.sessions[{position}]")
    if isinstance(body.get("error"), dict):
        _check_error(body["error"], "ok.error")


def _check_result(body: Any, where: str) -> None:
    _check_fields(body, _RESULT, where, complete=True)
    if body["session"] is not None:
        _check_session(body["session"], f"{where}.session")


def _check_session(session: Any, where: str) -> None:
    _check_fields(session, _SESSION, where, complete=True)
    for name in _MOMENTS:
        if session[name] is not None:
            moment(session[name], f"{where}.{name}")


def _check_error(error: dict[str, Any], where: str) -> None:
    if not isinstance(error.get("code"), str) or not error["code"]:
        raise Mismatch(f"{where} has no code: {shown(error)}")
    _check_fields(error, _ERROR, where, complete=False)


def _check_fields(body: Any, types: dict[str, Any], where: str, *, complete: bool) -> None:
    if not isinstance(body, dict):
        raise Mismatch(f"{where} is {shown(body)}, not an object")
    for name, kind in types.items():
        if name not in body and complete:
            raise Mismatch(f"{where} has no {name}: {shown(body)}")
        value = body.get(name)
        if name in body and (not isinstance(value, kind) or isinstance(value, bool)):
            raise Mismatch(f"{where}.{name} is {shown(value)}, which the protocol does not have there")
