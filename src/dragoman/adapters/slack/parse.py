"""Reading one verified request of Slack's: JSON is an event, a form is a command or an interaction."""

from dragoman.adapter import Payload, Receipt
from dragoman.adapters.slack import events, forms
from dragoman.adapters.slack.origin import Origin


def receipt(origin: Origin, payload: Payload) -> Receipt:
    """Read one request by its content type (or its first byte); raises `Malformed` for what Slack does not document."""
    content_type = payload.headers.get("content-type", "")
    is_json = "json" in content_type or ("form" not in content_type and payload.body[:1] == b"{")
    return events.read(origin, payload.body) if is_json else forms.read(origin, payload.body)
