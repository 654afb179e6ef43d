"""Sessions and what happens to them as JSON documents."""

from typing import Any

from sessiongateway import SessionInfo, WatchEvent


def document_of(info: SessionInfo) -> dict[str, Any]:
    """Return a session for programs: its fields, with the id under the name that `app run` gives it."""
    return {"session_id": info.id, **{name: value for name, value in info.items() if name != "id"}}


def document_of_event(event: WatchEvent) -> dict[str, Any]:
    """Return an event of a watch for programs; `watching` is without a session."""
    document: dict[str, Any] = {"event": event.event, "occurred_at": event.occurred_at}
    if event.session is not None:
        document |= document_of(event.session)
    return {**document, "resume_token": event.resume_token}
