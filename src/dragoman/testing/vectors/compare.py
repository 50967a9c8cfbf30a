"""Compares what was observed with what a case lists, by the rules of the vectors' page.

Only keys that are listed *and* observed are compared. Nothing equals nothing: null, false, an empty text
and an absent fact all say that there is none. Inside JSON values, equality is exact.
"""

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from dragoman.model import Attachment, Event, Mention
from dragoman.testing.vectors import facts
from dragoman.testing.vectors.facts import Facts

ALIASES: Final = {"card_action": "action", "message_deleted": "delete"}
DROPPED: Final = frozenset({"self", "ignored", "unknown"})
MENTION: Final = ("id", "name", "is_bot")
ATTACHMENT: Final = ("kind", "id", "url", "name", "mime", "size", "latitude", "longitude")
HEADERS: Final = frozenset({"headers_kept", "headers_added"})
LONGEST: Final = 300
"""Characters of a value that a line shows."""


def differences(listed: Mapping[str, Any], observed: Facts, where: str = "") -> Iterator[str]:
    """Say in what the observed facts differ from the listed ones, each as `expected ..., got ...`."""
    for key, wanted in listed.items():
        base, suffix = _parts(key, observed)
        if base in observed and not RULES[suffix](base, wanted, observed[base]):
            yield f"expected {where}{base} {WORDS[suffix]}{_shown(wanted)}, got {_shown(observed[base])}"


def event_differences(listed: Iterable[Mapping[str, Any]], events: Sequence[Event]) -> Iterator[str]:
    """Say in what events differ from the listed ones, leaving out on both sides what is not handed over."""
    wanted = [each for each in listed if _handed_over(each)]
    got = [each for each in map(facts.of, events) if _handed_over(each)]
    if len(wanted) != len(got):
        yield f"expected events {_shown(_types(wanted))}, got {_shown(_types(got))}"
        return
    for number, (each, observed) in enumerate(zip(wanted, got, strict=True)):
        yield from differences(_comparable(each), observed, f"events[{number}].")


def _handed_over(event: Mapping[str, Any]) -> bool:
    kind = _type(event)
    return kind not in DROPPED and not (kind == "message" and event.get("deliver") is False)


def _types(events: Iterable[Mapping[str, Any]]) -> list[str]:
    return [_type(event) for event in events]


def _type(event: Mapping[str, Any]) -> str:
    kind = str(event.get("type", "message"))
    return ALIASES.get(kind, kind)


def _comparable(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Leave `deliver` out of a `platform_event`: whether such a report wakes the bot is its adapter's choice."""
    if _type(event) != "platform_event":
        return event
    return {key: value for key, value in event.items() if key != "deliver"}


def _parts(key: str, observed: Facts) -> tuple[str, str]:
    """Part a key from its suffix, unless the whole of it is a fact's name."""
    suffixes = (suffix for suffix in RULES if suffix and key.endswith(suffix))
    suffix = "" if key in observed else next(suffixes, "")
    return key.removesuffix(suffix), suffix


def _equal(base: str, wanted: Any, got: Any) -> bool:
    return EQUALITY.get(base, same)(wanted, got)


def _any_of(base: str, wanted: Any, got: Any) -> bool:
    return any(_equal(base, each, got) for each in wanted)


def _contains(_base: str, wanted: Any, got: Any) -> bool:
    return all(_plain(part) in _plain(got) for part in _several(wanted))


def _lacks(_base: str, wanted: Any, got: Any) -> bool:
    return all(_plain(part) not in _plain(got) for part in _several(wanted))


def _several(wanted: Any) -> list[Any]:
    return wanted if isinstance(wanted, list) else [wanted]


RULES: Final[Mapping[str, Callable[[str, Any, Any], bool]]] = {
    "": _equal,
    "_any_of": _any_of,
    "_contains": _contains,
    "_must_not_contain": _lacks,
}
"""What a key's ending asks for: takes the key without it, the listed value and the observed one."""

WORDS: Final = {"": "", "_any_of": "any of ", "_contains": "containing ", "_must_not_contain": "without "}


def same(wanted: Any, got: Any) -> bool:
    """Tell whether two facts are the same; both absent, in whatever way, is the same."""
    if _nothing(wanted) or _nothing(got):
        return _nothing(wanted) and _nothing(got)
    return same_json(wanted, got)


def same_json(wanted: Any, got: Any) -> bool:
    """Tell whether two JSON values are equal: numbers as numbers, true is not 1, order of keys is free."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        return wanted.keys() == got.keys() and all(same_json(wanted[key], got[key]) for key in wanted)
    if isinstance(wanted, list | tuple) and isinstance(got, list | tuple):
        return len(wanted) == len(got) and all(map(same_json, wanted, got))
    if isinstance(wanted, bool) or isinstance(got, bool):
        return wanted is got
    return bool(wanted == got)


def _nothing(value: Any) -> bool:
    return value is None or value is False or (isinstance(value, str | list | tuple | dict) and not value)


def _plain(text: Any) -> str:
    """Strip a text and collapse runs of spaces, not newlines."""
    return re.sub(" +", " ", str(text or "")).strip()


def _same_text(wanted: Any, got: Any) -> bool:
    return _plain(wanted) == _plain(got)


def _same_type(wanted: Any, got: Any) -> bool:
    return bool(ALIASES.get(wanted, wanted) == ALIASES.get(got, got))


def _same_body(wanted: Any, got: Any) -> bool:
    """Compare as text; an object or list of JSON written differently is the same."""
    if isinstance(wanted, str):
        return wanted == got or (wanted[:1] in {"{", "["} and same_json(_json(wanted), _json(got)))
    return same_json(wanted, _json(got))


def _json(text: str) -> Any:
    """Decode JSON; a text that is none stands for itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _authentic(wanted: Any, got: Any) -> bool:
    """Compare the verdict; null: not checked here."""
    return wanted is None or wanted is got


def _same_frame(wanted: Any, got: Any) -> bool:
    """Compare the listed keys of a frame that we send; null: nothing is sent."""
    if not isinstance(wanted, dict) or not isinstance(got, dict):
        return same_json(wanted, got)
    return all(key in got and same_json(value, got[key]) for key, value in wanted.items() if key != "note")


def _same_frames(wanted: Sequence[Any], got: Sequence[Any]) -> bool:
    return len(wanted) == len(got) and all(map(_same_frame, wanted, got))


def _same_ack(wanted: Mapping[str, Any], got: Mapping[str, Any] | None) -> bool:
    """Compare a decoded acknowledgement: the listed fields, the kept headers, and the names of the added ones."""
    if got is None:
        return False
    kept, added = wanted.get("headers_kept", {}), set(wanted.get("headers_added", ()))
    headers = got["headers"]
    return (
        all(name in got and same_json(value, got[name]) for name, value in wanted.items() if name not in HEADERS)
        and all(same(value, headers.get(name)) for name, value in kept.items())
        and headers.keys() == kept.keys() | added
    )


def _same_written(wanted: str, got: facts.Written | None) -> bool:
    """Compare a frame in base64 with ours, both decoded."""
    return got is not None and got.same(base64.b64decode(wanted))


def _settings_taken(wanted: Mapping[str, Any], got: Mapping[str, Any] | None) -> bool:
    """Compare the listed settings."""
    return got is not None and all(name in got and same_json(value, got[name]) for name, value in wanted.items())


def _set_alike(wanted: Any, got: Any) -> bool:
    return bool(wanted) == bool(got)


def _same_mentions(wanted: Sequence[Any] | None, got: Sequence[Mention]) -> bool:
    return len(wanted or ()) == len(got) and all(map(_same_mention, wanted or (), got))


def _same_mention(wanted: Any, got: Mention) -> bool:
    """Compare what is listed: an id (or the text as written), or an object with some of the facts."""
    if isinstance(wanted, dict):
        return _listed(wanted, got, MENTION)
    return wanted == got.id or (bool(got.name) and wanted == f"@{got.name}")


def _same_attachments(wanted: Sequence[Any] | None, got: Sequence[Attachment]) -> bool:
    return len(wanted or ()) == len(got) and all(
        _listed(each, attachment, ATTACHMENT) for each, attachment in zip(wanted or (), got, strict=True)
    )


def _listed(wanted: Mapping[str, Any], got: object, names: Iterable[str]) -> bool:
    return all(same(wanted[name], getattr(got, name)) for name in names if name in wanted)


def _same_parameters(wanted: Mapping[str, Any], got: Mapping[str, Mapping[str, Any]]) -> bool:
    """Compare the listed parameters of the next request; in a query numbers are written as text."""
    before, after = got["before"], got["after"]
    return all(
        same(before.get(name), after.get(name)) if value == "unchanged" else _same_parameter(value, after.get(name))
        for name, value in wanted.items()
    )


def _same_parameter(wanted: Any, got: Any) -> bool:
    return same(wanted, got) or (got is not None and str(wanted) == str(got))


EQUALITY: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "type": _same_type,
    "text": _same_text,
    "text_clean": _same_text,
    "mentions": _same_mentions,
    "attachments": _same_attachments,
    "authentic": _authentic,
    "response_body": _same_body,
    "plaintext": _same_body,
    "next_request": _same_parameters,
    "fatal": _set_alike,
    "ack_frame_json": _same_frame,
    "client_sends": _same_frame,
    "ack": _same_ack,
    "client_config": _settings_taken,
    "next_ping_frame_base64": _same_written,
    "reply_frames_json": _same_frames,
}
"""Keys that are not compared by `same`."""


def _shown(value: Any) -> str:
    text = json.dumps(msgspec.to_builtins(value, enc_hook=repr), ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
