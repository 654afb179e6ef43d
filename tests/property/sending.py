"""From a call of the model to the request that the manager gets."""

from collections.abc import Mapping

from gateway.apps.names import AppQuery
from gateway.sessions.requests import RunRequest
from tests.property.facts import Call, ModelSession
from tests.property.world import payload


def request_of(call: Call, ids: Mapping[ModelSession, str]) -> RunRequest:
    """Return the request; `ids` are those of the sessions."""
    session = ids[call.session] if isinstance(call.session, ModelSession) else call.session or ""
    return RunRequest(
        AppQuery(call.app, call.version),
        "nothing" if call.wrong == "FunctionNotFound" else "",
        payload(call.token, call.mode),
        session=session,
        session_timeout=call.timeout if session == "new" else None,
        worker_id="wrk_none" if call.wrong == "WorkerNotFound" else "",
        request_id=call.request_id,
        expected_call_count=call.expected,
    )
