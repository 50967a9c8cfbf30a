"""That parsing and splitting take whatever comes: `Malformed` is the only way to say no."""

import json
from typing import Any, Final

import msgspec
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from dragoman.adapter import Payload
from dragoman.model import Message
from dragoman.testing.suite.subject import Subject

PROFILE: Final = settings(
    database=None,
    deadline=None,
    max_examples=100,
    phases=(Phase.generate, Phase.shrink),
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
)
"""Inherited tests run in many classes; a failure is told, not kept."""

SCALARS: Final = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud800")
JSON: Final = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)
CONTENT_TYPES: Final = st.sampled_from(["", "application/json", "application/x-www-form-urlencoded", "text/xml"])
PIECES: Final = st.sampled_from(
    ["word ", "**bold** ", "`code`", "\n\n", "```\ncode\n```\n", "- item\n", "[a link](https://example.org/) ", "&<>"]
)
Path = tuple[Any, ...]


class TotalityTests(Subject):
    """Whatever the bytes and the text."""

    @PROFILE
    @given(body=st.binary(max_size=200), content_type=CONTENT_TYPES)
    def test_parse_takes_any_bytes(self, body: bytes, content_type: str) -> None:
        """Noise is refused, not stumbled over."""
        self.takes(Payload(body=body, headers={"content-type": content_type}))

    @PROFILE
    @given(value=JSON, content_type=CONTENT_TYPES)
    def test_parse_takes_any_json(self, value: Any, content_type: str) -> None:
        """So is JSON of any other shape."""
        self.takes(Payload(body=json.dumps(value).encode(), headers={"content-type": content_type}))

    @settings(PROFILE, max_examples=25)
    @given(parts=st.lists(st.text(max_size=40) | PIECES, min_size=1, max_size=8), times=st.integers(1, 400))
    def test_every_piece_of_a_split_text_fits(self, parts: list[str], times: int) -> None:
        """The platform would refuse a longer one, and the reply with it."""
        longest = self.adapter.capabilities.max_text
        body = ("".join(parts) * times)[: 3 * longest + 1]
        assume(body.strip())
        for piece in self.adapter.split(Message(text=body)):
            size = self.measure(piece.text)
            assert size <= longest, f"a piece of {size} does not fit {longest}"

    def test_a_word_without_end_is_split_too(self) -> None:
        """Where there is no good place to cut, there is a bad one."""
        longest = self.adapter.capabilities.max_text
        body = "x" * (2 * longest + 1)
        pieces = self.adapter.split(Message(text=body))
        assert all(self.measure(piece.text) <= longest for piece in pieces)
        assert sum(piece.text.count("x") for piece in pieces) == len(body), "a part of the text is lost"


class WebhookTotalityTests(Subject):
    """Whatever is strange about a request that is otherwise genuine."""

    @PROFILE
    @given(data=st.data())
    def test_parse_takes_a_genuine_payload_with_any_part_replaced(self, data: st.DataObject) -> None:
        """Platforms change; a field of another type, or none, is not the end."""
        payload = self.payload(data.draw(st.sampled_from(list(self.genuine()))))
        self.takes(msgspec.structs.replace(payload, body=mutated(data, payload.body)))


def mutated(data: st.DataObject, body: bytes) -> bytes:
    """Replace a part of JSON by other JSON, and of anything else some bytes by other bytes."""
    try:
        value = json.loads(body)
    except ValueError:
        return _spliced(data, body)
    path = data.draw(st.sampled_from(_paths(value)))
    return json.dumps(_replaced(value, path, data.draw(JSON))).encode()


def _spliced(data: st.DataObject, body: bytes) -> bytes:
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 20)))
    return body[:start] + data.draw(st.binary(max_size=20)) + body[end:]


def _paths(value: Any, above: Path = ()) -> list[Path]:
    """Return the way to every part of a JSON value, the whole first."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [above, *(path for key, part in below for path in _paths(part, (*above, key)))]


def _replaced(value: Any, path: Path, new: Any) -> Any:
    """Return a JSON value with one part replaced; null as the new part takes a member out."""
    if not path:
        return new
    key, *rest = path
    if isinstance(value, dict) and not rest and new is None:
        return {name: part for name, part in value.items() if name != key}
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[key] = _replaced(value[key], tuple(rest), new)
    return copy
