"""Files, both ways."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from dragoman import wire
from dragoman.adapter import Known
from dragoman.adapters.feishu import Feishu, files
from dragoman.errors import MediaRefused
from dragoman.model import Attachment, Delivery, Event, Media, Message, Say
from dragoman.wire import Credential, Http, Part, Refused, Response, Retry

Deliver = Callable[..., Delivery]
IMAGES = "https://feishu.test/open-apis/im/v1/images"
FILES = "https://feishu.test/open-apis/im/v1/files"


def shown(name: str, mime: str, *, kind: Any = "file", size: int = 9) -> Say:
    media = Media(ref="00", size=size, name=name, mime=mime)
    return Say(message=Message(attachments=(Attachment(kind=kind, name=name, media=media),)))


def upload(feishu: Feishu, delivery: Delivery) -> Http:
    request = next(feishu.send(delivery, Known(now=0.0)))
    assert isinstance(request, Http)
    return request


def test_a_picture_is_uploaded_then_shown(feishu: Feishu, known: Known, deliver: Deliver) -> None:
    exchange = feishu.send(deliver(shown("cat.png", "image/png", kind="image")), known)
    first = next(exchange)
    assert isinstance(first, Http)
    assert (first.url, first.repeatable, first.auth) == (IMAGES, True, Credential(name="tenant_token"))
    media = Media(ref="00", size=9, name="cat.png", mime="image/png")
    assert first.parts == (
        Part(name="image_type", value="message"),
        Part(name="image", media=media, filename="cat.png"),
    )

    second = exchange.send(wire.json_response({"code": 0, "data": {"image_key": "img_1"}}))

    assert isinstance(second, Http)
    assert second.json is not None
    assert (second.json["msg_type"], json.loads(second.json["content"])) == ("image", {"image_key": "img_1"})


@pytest.mark.parametrize(
    ("name", "mime", "file_type", "kind"),
    [
        ("a.pdf", "application/pdf", "pdf", "file"),
        ("a.DOCX", "application/octet-stream", "doc", "file"),
        ("a.xls", "", "xls", "file"),
        ("a.pptx", "", "ppt", "file"),
        ("voice", "audio/opus", "opus", "audio"),
        ("clip.mp4", "video/mp4", "mp4", "media"),
        ("clip.mov", "video/quicktime", "stream", "file"),
        ("noending", "text/plain", "stream", "file"),
    ],
)
def test_each_file_has_feishus_type(
    feishu: Feishu, deliver: Deliver, name: str, mime: str, file_type: str, kind: str
) -> None:
    exchange = feishu.send(deliver(shown(name, mime)), Known(now=0.0))
    first = next(exchange)
    second = exchange.send(wire.json_response({"code": 0, "data": {"file_key": "file_1"}}))

    assert isinstance(first, Http)
    assert isinstance(second, Http)
    assert first.url == FILES
    assert {part.name: part.value for part in first.parts[:2]} == {"file_type": file_type, "file_name": name}
    assert second.json is not None
    assert second.json["msg_type"] == kind


@pytest.mark.parametrize(
    ("mime", "size"), [("image/png", files.MAX_IMAGE + 1), ("image/svg+xml", 9), ("application/octet-stream", 9)]
)
def test_a_picture_that_feishu_does_not_show_goes_as_a_file(
    feishu: Feishu, deliver: Deliver, mime: str, size: int
) -> None:
    assert upload(feishu, deliver(shown("cat", mime, kind="image", size=size))).url == FILES


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(feishu: Feishu, deliver: Deliver) -> None:
    outcome = wire.run(feishu.send(deliver(shown("a.iso", "", size=files.MAX_FILE + 1)), Known(now=0.0)))

    assert isinstance(outcome, Refused)
    assert outcome.scope == "message"


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        (Response(status=200, body=b"<html>"), Retry(reason="status 200, not an answer of the API")),
        (wire.json_response({"code": 0, "data": {}}), Retry(reason="status 200, not an answer of the API")),
        (wire.json_response({"code": 234006, "msg": "large"}, 400), Refused(reason="234006 large")),
        (Response(status=500), Retry(reason="status 500, not an answer of the API")),
    ],
)
def test_an_upload_that_fails_shows_nothing(
    feishu: Feishu, deliver: Deliver, response: Response, outcome: Retry | Refused
) -> None:
    assert wire.run(feishu.send(deliver(shown("a.txt", "text/plain")), Known(now=0.0)), response) == outcome


def received(**facts: Any) -> Attachment:
    value = {"message_id": "om_1", "resource_type": "file"}
    return Attachment(**{"kind": "file", "id": "file_1", "name": "a.pdf", "value": value, **facts})


def test_a_file_is_fetched_by_its_message(feishu: Feishu, known: Known) -> None:
    request = next(feishu.fetch(received(), known))
    assert isinstance(request, Http)
    assert request.url == "https://feishu.test/open-apis/im/v1/messages/om_1/resources/file_1"
    assert (request.method, request.query, request.into) == ("GET", {"type": "file"}, "media")

    media = wire.run(feishu.fetch(received(), known), Response(media=Media(ref="ab", size=3, mime="application/pdf")))

    assert media == Media(ref="ab", size=3, mime="application/pdf", name="a.pdf")


@pytest.mark.parametrize("value", [{}, {"message_id": "om_1"}, {"message_id": 1, "resource_type": "file"}])
def test_what_no_message_hands_out_is_not_asked_for(feishu: Feishu, known: Known, value: dict[str, Any]) -> None:
    with pytest.raises(MediaRefused):
        next(feishu.fetch(received(kind="sticker", value=value), known))


@pytest.mark.parametrize(
    "response",
    [wire.json_response({"code": 234043, "msg": "no"}, 400), Response(status=404), Response(status=200)],
)
def test_a_refused_file_is_told_as_refused(feishu: Feishu, known: Known, response: Response) -> None:
    with pytest.raises(MediaRefused):
        wire.run(feishu.fetch(received(), known), response)


def test_a_dead_token_is_renewed_for_a_file_too(feishu: Feishu, known: Known) -> None:
    dead = wire.json_response({"code": 99991663, "msg": "dead"}, 400)

    media = wire.run(feishu.fetch(received(), known), dead, Response(status=204), Response(media=Media(ref="ab")))

    assert media.ref == "ab"


def test_pictures_in_a_message_are_fetched_as_pictures(simulator: Any, read: Callable[[Http], Event]) -> None:
    event = read(simulator.shared("cat.png", b"bytes", mime="image/png"))

    assert event.attachments[0].value == {"message_id": event.message_id, "resource_type": "image"}
