"""What the client returns and raises, as the protocol writes it."""

import asyncio
import json
from datetime import datetime
from typing import Any

from executor.raw import RawError
from sessiongateway import AppInfo, RunResult, SessionGatewayError, SessionInfo


def session_of(session: SessionInfo) -> dict[str, Any]:
    """Write a session."""
    shown = {key: _moment(value) if isinstance(value, datetime) else value for key, value in session.items()}
    return shown | {"expires_in": session.expires_in.total_seconds()}


def result_of(result: RunResult) -> dict[str, Any]:
    """Write the answer of a run."""
    return {
        "session_id": result.session_id,
        "output": json.dumps(result.output),
        "call_id": result.call_id,
        "session": None if result.session is None else session_of(result.session),
    }


def app_of(app: AppInfo) -> dict[str, Any]:
    """Write an app, with what can be called if that is known."""
    functions = [{"name": function.name, "streams": function.streams} for function in app.functions]
    return {"name": app.name, "version": app.version} | ({"functions": functions} if functions else {})


def error_of(error: BaseException) -> dict[str, Any]:
    """Write whatever a command raised."""
    if isinstance(error, SessionGatewayError):
        return _gateway_error(error)
    if isinstance(error, RawError):
        return error.fields
    code = "CANCELLED" if isinstance(error, asyncio.CancelledError) else "USAGE"
    return {"code": code, "message": str(error), "class": type(error).__name__}


def _gateway_error(error: SessionGatewayError) -> dict[str, Any]:
    failure = None
    if hasattr(error, "traceback"):
        failure = {
            "type": getattr(error, "type", ""),
            "message": getattr(error, "app_message", ""),
            "traceback": error.traceback,
        }
    return {
        "code": error.code,
        "message": error.message,
        "grpc_status": None if error.details else error.code,
        "class": type(error).__name__,
        "session_id": error.session_id,
        "run_state": error.run_state,
        "retry_after": error.retry_after,
        "http_status": error.http_status,
        "end_reason": error.end_reason,
        "call_id": error.call_id,
        "field_violations": [list(each) for each in error.field_violations],
        "app_failure": failure,
        "worker_exit": error.worker_exit,
        "session_app": error.session_app,
        "requested_app": error.requested_app,
        "error_id": getattr(error, "error_id", None),
        "metadata": error.metadata,
    }


def _moment(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
