"""The long connection without a network: dialling, and a session that is told what happens."""

import base64
import dataclasses
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman import wire
from dragoman.adapter import Dial, Emit, Halt, Known, Redial, Send, Session, Step
from dragoman.adapters.feishu import Feishu, fragments, frames, socket
from dragoman.adapters.feishu.frames import Frame
from dragoman.errors import Forged, NoAnswer
from dragoman.model import Secret
from dragoman.testing.simulators.feishu import BOT, FeishuSimulator
from dragoman.wire import Credential, Http, Response

NOW = 1_767_406_614.25
SERVICE = 42
URL = f"wss://msg.example.org/ws?device_id=7&ticket=t&service_id={SERVICE}"
CONFIG = {"ReconnectCount": -1, "ReconnectInterval": 100, "ReconnectNonce": 20, "PingInterval": 60}
PLAIN = FeishuSimulator(encrypt_key="", clock=lambda: NOW)
"""Makes the envelopes that the frames carry."""


@pytest.fixture
def account() -> Feishu:
    return Feishu(account="support", app_id="cli_1", app_secret=Secret("s"), bot_open_id=BOT, receive="socket")


def at(seconds: float = 0.0, **facts: Any) -> Known:
    return Known(now=NOW + seconds, nonce="a nonce", **facts)


@pytest.fixture
def session(account: Feishu) -> Session:
    learned = socket.learned(socket.Place(URL=URL, ClientConfig=socket.Wishes(**CONFIG)))
    return account.session(at(keys=learned))


def event(body: bytes, *, kind: str = "event", name: str = "m1", total: int = 1, place: int = 0, **facts: Any) -> Frame:
    headers = (("type", kind), ("message_id", name), ("sum", str(total)), ("seq", str(place)), ("trace_id", "t"))
    return Frame(SeqID=3, LogID=4, service=SERVICE, method=frames.DATA, headers=headers, payload=body, **facts)


def pong(**wishes: Any) -> Frame:
    payload = msgspec.json.encode(wishes) if wishes else None
    return Frame(service=SERVICE, headers=(("type", "pong"),), payload=payload)


def told(session: Session, frame: Frame, seconds: float = 0.0) -> list[Step]:
    return list(session.received(wire.Frame(data=frames.write(frame)), at(seconds)))


def sent(steps: Iterable[Step]) -> list[Frame]:
    return [
        frames.read(step.frame.data) for step in steps if isinstance(step, Send) and isinstance(step.frame.data, bytes)
    ]


def emitted(steps: Iterable[Step]) -> Any:
    (receipt,) = [step.receipt for step in steps if isinstance(step, Emit)]
    return receipt


# Dialling


def answer(status: int = 200, **body: Any) -> Response:
    return wire.json_response(body, status)


def test_dialling_asks_with_the_apps_credentials_for_an_address_that_stays_secret(account: Feishu) -> None:
    exchange = account.dial(at())
    request = next(exchange)

    assert isinstance(request, Http)
    assert (request.method, request.url) == ("POST", "https://open.feishu.cn/callback/ws/endpoint")
    assert request.json == {"AppID": "cli_1", "AppSecret": Credential(name="app_secret")}
    assert request.headers["locale"] == "zh"
    with pytest.raises(StopIteration) as stop:
        exchange.send(answer(code=0, msg="", data={"URL": URL, "ClientConfig": CONFIG}))
    assert isinstance(stop.value.value, Dial)
    assert stop.value.value.url.reveal() == URL
    assert "ticket" not in repr(stop.value.value)


@pytest.mark.parametrize("code", [403, 514, 1000040344, 1000040350, 77])
def test_a_refusal_of_the_endpoint_is_for_the_operator(account: Feishu, code: int) -> None:
    found = wire.run(account.dial(at()), answer(code=code, msg="no"))

    assert isinstance(found, Halt)
    assert found.reason.startswith(f"{code} no: ")


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(answer(code=1, msg="system busy"), id="busy"),
        pytest.param(answer(code=1000040343, msg="internal error"), id="internal error"),
        pytest.param(answer(503, code=0), id="status 503"),
        pytest.param(answer(429, code=99991400, msg="too often"), id="status 429"),
        pytest.param(Response(status=502, body=b"<html>"), id="not JSON"),
        pytest.param(answer(code=0, data={}), id="no address"),
        pytest.param(answer(code=0), id="no data"),
        pytest.param(answer(code=0, data={"URL": "https://example.org"}), id="another scheme"),
        pytest.param(answer(code=0, data={"URL": "ws://example.org/?service_id=1"}), id="without TLS"),
    ],
)
def test_trouble_of_the_endpoint_passes(account: Feishu, response: Response) -> None:
    with pytest.raises(NoAnswer) as raised:
        wire.run(account.dial(at()), response)
    assert not raised.value.sent


def test_an_api_without_tls_may_name_a_socket_without(account: Feishu) -> None:
    local = dataclasses.replace(account, api_base="http://127.0.0.1:1/")
    found = wire.run(local.dial(at()), answer(code=0, data={"URL": "ws://127.0.0.1:1/?service_id=1"}))

    assert isinstance(found, Dial)


@pytest.mark.parametrize(
    ("url", "service"),
    [
        ("wss://a/?service_id=5", "5"),
        ("wss://a/?service_id=6&x=1", "6"),
        ("wss://[/?xservice_id=7", ""),
        ("wss://a", ""),
    ],
)
def test_the_service_stands_in_the_query_of_the_address(url: str, service: str) -> None:
    assert socket.learned(socket.Place(URL=url))["service_id"] == service


# The account


def test_a_socket_needs_no_webhook_secrets_and_takes_no_webhooks(account: Feishu) -> None:
    genuine = FeishuSimulator(verification_token="", encrypt_key="", clock=lambda: NOW).webhook("hello")

    assert account.check() == []
    assert account.mode() == "socket"
    with pytest.raises(Forged):
        account.verify(genuine, at())


def test_a_webhook_still_needs_its_token(account: Feishu) -> None:
    (problem,) = dataclasses.replace(account, receive="webhook").check()

    assert problem.startswith("verification_token is empty")


def test_accounts_of_one_app_share_one_connection(account: Feishu) -> None:
    twin = dataclasses.replace(account, account="another")

    assert twin.connection() == account.connection()
    assert dataclasses.replace(account, app_id="cli_2").connection() != account.connection()


# Events


def test_an_event_is_acknowledged_behind_its_receipt_with_the_same_frame(session: Session) -> None:
    frame = event(PLAIN.webhook("hello").body, LogIDNew=b"log", payload_encoding=b"", payload_type=b"json")
    emit, send = told(session, frame)

    assert isinstance(emit, Emit)
    assert [each.text for each in emit.receipt.events] == ["hello"]
    (ack,) = sent([send])
    assert ack == msgspec.structs.replace(frame, headers=(*frame.headers, ("biz_rt", "0")), payload=b'{"code":200}')


def test_what_is_ignored_is_acknowledged_too(session: Session) -> None:
    steps = told(session, event(PLAIN.event("im.message.message_read_v1", {}).body))

    assert emitted(steps).ignored == ("kind:im.message.message_read_v1",)
    assert len(sent(steps)) == 1


@pytest.mark.parametrize("kind", ["event", "card"])
def test_a_pressed_button_is_acknowledged_with_an_answer(session: Session, kind: str) -> None:
    steps = told(session, event(PLAIN.pressed({"dragoman": "yes"}).body, kind=kind))

    assert [each.text for each in emitted(steps).events] == ["yes"]
    (ack,) = sent(steps)
    verdict = msgspec.json.decode(ack.payload or b"")
    assert verdict["code"] == 200
    assert msgspec.json.decode(base64.b64decode(verdict["data"])) == {}


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(event(b"not JSON"), id="not JSON"),
        pytest.param(event(b'{"schema": "2.0"}'), id="without an event"),
        pytest.param(event(b"{}", kind="another"), id="of another type"),
        pytest.param(event(b"{}", total=2, place=2), id="part 2 of 2"),
        pytest.param(event(b"{}", total=0), id="of no parts"),
        pytest.param(event(b"{}", total=fragments.MOST_PARTS + 1), id="of too many parts"),
        pytest.param(msgspec.structs.replace(event(b"{}"), headers=(("sum", "x"),)), id="of x parts"),
    ],
)
def test_an_event_that_is_not_understood_is_parked_and_acknowledged(session: Session, frame: Frame) -> None:
    steps = told(session, frame)

    assert emitted(steps).malformed == (frame.payload,)
    assert len(sent(steps)) == 1


@pytest.mark.parametrize("data", ["text", b"\xff\xff"])
def test_what_is_no_frame_is_parked(session: Session, data: str | bytes) -> None:
    (emit,) = session.received(wire.Frame(data=data), at())

    assert emitted([emit]).malformed


@given(data=st.binary(max_size=80) | st.text(max_size=20))
def test_no_bytes_make_the_session_raise(data: str | bytes) -> None:
    session = socket.LongConnection(lambda payload, known: pytest.fail(f"{payload} {known}"), at())

    assert all(isinstance(step, Emit | Send) for step in session.received(wire.Frame(data=data), at()))


# Fragments


def cut(body: bytes, total: int, name: str = "m1") -> list[Frame]:
    size = -(-len(body) // total)
    pieces = [body[place * size : (place + 1) * size] for place in range(total)]
    return [event(piece, name=name, total=total, place=place) for place, piece in enumerate(pieces)]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 1, 2, 0)])
def test_parts_in_any_order_make_one_event_and_the_last_to_come_is_acknowledged(
    session: Session, order: tuple[int, ...]
) -> None:
    parts = cut(PLAIN.webhook("hello 你好").body, 3)
    *before, last = [(told(session, parts[place], seconds / 10)) for seconds, place in enumerate(order)]

    assert before == [[]] * len(before)
    assert [each.text for each in emitted(last).events] == ["hello 你好"]
    (ack,) = sent(last)
    assert (ack.header("seq"), ack.header("biz_rt")) == (str(order[-1]), str(100 * len(before)))


def test_parts_of_several_events_do_not_mix(session: Session) -> None:
    first, second = cut(PLAIN.webhook("one").body, 2, "m1"), cut(PLAIN.webhook("two").body, 2, "m2")
    steps = [told(session, frame) for frame in (first[0], second[1], first[1], second[0])]

    assert [[each.text for each in emitted(step).events] for step in steps[2:]] == [["one"], ["two"]]


def test_parts_that_wait_too_long_are_dropped_counted_and_not_acknowledged(session: Session) -> None:
    first, second = cut(PLAIN.webhook("hello").body, 2)
    told(session, first)
    steps = list(session.tick(at(fragments.LONGEST_GAP + 1)))
    late = told(session, second, fragments.LONGEST_GAP + 2)

    assert emitted(steps).ignored == ("fragments:incomplete",)
    assert sent(steps) == []
    assert late == []


def test_an_event_sent_again_after_it_was_dropped_is_made_whole_of_new_parts(session: Session) -> None:
    parts = cut(PLAIN.webhook("hello").body, 2)
    told(session, parts[0])
    steps = [told(session, part, fragments.LONGEST_GAP + 1) for part in parts]

    assert steps[0] == []
    assert [each.text for each in emitted(steps[1]).events] == ["hello"]


def test_incomplete_events_are_bounded_in_number_and_bytes() -> None:
    gathered = fragments.Fragments()
    for number in range(fragments.MOST_SETS + 7):
        gathered.add(f"m{number}", 2, 0, b"x", NOW)
    assert gathered.expire(NOW) == 7

    for number in range(3):
        gathered.add(f"large{number}", 2, 0, bytes(fragments.MOST_BYTES // 2), NOW)
    assert gathered.expire(NOW) == fragments.MOST_SETS + 1
    assert gathered.add("large2", 2, 1, b"", NOW) is not None
    assert gathered.add("large0", 2, 1, b"", NOW) is None


@given(
    arrivals=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.binary(max_size=3), st.floats(0, 4)), max_size=30
    )
)
def test_an_event_is_whole_when_and_only_when_each_of_its_parts_has_come(
    arrivals: list[tuple[str, int, bytes, float]],
) -> None:
    gathered, now = fragments.Fragments(), NOW
    last: dict[str, float] = {}
    expected: dict[str, dict[int, bytes]] = {}
    for name, place, part, pause in arrivals:
        now += pause
        if now - last.get(name, now) > fragments.LONGEST_GAP:
            expected[name] = {}
        last[name] = now
        parts = expected.setdefault(name, {})
        parts[place] = part
        whole = gathered.add(name, 3, place, part, now)
        assert (whole is not None) == (len(parts) == 3)
        if whole:
            assert whole.payload == b"".join(parts[number] for number in range(3))
            expected[name] = {}


# Heartbeats


def test_the_first_ping_leaves_at_once_and_the_next_at_the_interval_that_the_endpoint_named(session: Session) -> None:
    ping = Frame(service=SERVICE, method=frames.CONTROL, headers=(("type", "ping"),))

    assert sent(session.opened(at())) == [ping]
    assert list(session.tick(at(59))) == []
    assert sent(session.tick(at(60))) == [ping]
    assert list(session.tick(at(61))) == []
    assert sent(session.tick(at(120))) == [ping]


def test_a_pong_brings_new_wishes_and_keeps_what_it_does_not_name(session: Session) -> None:
    session.opened(at())

    assert told(session, pong(PingInterval=90)) == []
    assert sent(session.tick(at(60))) == []
    assert len(sent(session.tick(at(90)))) == 1
    assert getattr(session, "client_config", None) == {**CONFIG, "PingInterval": 90}


def test_a_pong_that_is_not_understood_changes_nothing(session: Session) -> None:
    steps = told(session, msgspec.structs.replace(pong(), payload=b'{"PingInterval": "soon"}'))

    assert emitted(steps).ignored == ("control:pong not understood",)
    assert getattr(session, "client_config", None) == CONFIG


@pytest.mark.parametrize("interval", [0, -5])
def test_an_interval_that_makes_no_sense_is_the_usual_one(session: Session, interval: int) -> None:
    session.opened(at())
    told(session, pong(PingInterval=interval))

    assert sent(session.tick(at(119))) == []
    assert len(sent(session.tick(at(120)))) == 1


def test_who_was_not_told_the_service_learns_it_from_the_first_frame(account: Feishu) -> None:
    session = account.session(at())

    assert list(session.opened(at())) == []
    told(session, event(PLAIN.webhook("hello").body))
    assert [frame.service for frame in sent(session.tick(at(120)))] == [SERVICE]


def test_a_socket_on_which_nothing_comes_for_two_intervals_is_given_up(session: Session) -> None:
    session.opened(at())
    told(session, pong(), 10)
    assert not any(isinstance(step, Redial) for step in session.tick(at(10 + 2 * 60 + socket.MARGIN)))

    (step,) = session.tick(at(10 + 2 * 60 + socket.MARGIN + 1))

    assert isinstance(step, Redial)
    assert step.reason == "no pong and no frame for 131 seconds"


def test_a_quiet_socket_whose_pings_are_answered_lives(session: Session) -> None:
    session.opened(at())
    for seconds in range(0, 7200, 5):
        steps = list(session.tick(at(seconds)))
        assert not any(isinstance(step, Redial) for step in steps)
        if sent(steps):
            told(session, pong(), seconds)


def test_a_clock_that_jumps_back_stops_neither_the_pings_nor_the_watch(session: Session) -> None:
    session.opened(at())
    session.tick(at(-86400))

    assert len(sent(session.tick(at(-86400 + 60)))) == 1
    assert any(isinstance(step, Redial) for step in session.tick(at(-86400 + 2 * 60 + socket.MARGIN + 1)))


# Coming back


def closed(session: Session, nonce: str = "a nonce") -> Any:
    (step,) = session.closed(1006, "gone", Known(now=NOW, nonce=nonce))
    return step


def test_a_socket_that_worked_is_followed_within_the_nonce_at_no_common_moment(session: Session) -> None:
    told(session, pong())
    waits = [closed(session, f"nonce {number}").after for number in range(200)]

    assert all(0 <= wait <= 20 for wait in waits)
    assert min(waits) < 1
    assert max(waits) > 19
    assert len(set(waits)) == 200


def test_a_socket_that_never_worked_is_followed_after_the_interval(session: Session) -> None:
    assert 100 <= closed(session).after <= 120


def test_wishes_of_a_pong_hold_for_coming_back(session: Session) -> None:
    told(session, pong(ReconnectNonce=0))
    assert closed(session).after == 0

    told(session, pong(ReconnectCount=0))
    assert isinstance(closed(session), Halt)
