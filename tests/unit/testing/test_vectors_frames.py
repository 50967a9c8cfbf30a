"""Cases of sockets whose frames are bytes: acknowledgements, settings and pings are compared decoded."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from dragoman.adapters.feishu import frames
from dragoman.adapters.feishu.frames import Frame
from dragoman.testing.conformance import run_vectors

HEADERS = {"type": "event", "message_id": "m", "sum": "1", "seq": "0"}
EVENT = {"schema": "2.0", "header": {"event_type": "another", "event_id": "e"}, "event": {}}
ACK = {
    "method": 1,
    "service": 5,
    "SeqID": 1,
    "LogID": 2,
    "headers_kept": HEADERS,
    "headers_added": ["biz_rt"],
    "payload_json": {"code": 200},
}
CONFIG = {"ReconnectCount": -1, "PingInterval": 90}
PING = base64.b64encode(frames.write(Frame(service=5, headers=(("type", "ping"),)))).decode()
REORDERED = base64.b64encode(bytes.fromhex("2a0c0a0474797065120470696e67 2000 1805 1000 0800")).decode()


def verdict(tmp_path: Path, frame: Frame, **expect: Any) -> str:
    request = {"transport": "websocket", "frame_base64": base64.b64encode(frames.write(frame)).decode()}
    case = {"name": "one", "config": {"app_id": "cli_1"}, "request": request, "expect": {"events": [], **expect}}
    path = tmp_path / "vectors.json"
    path.write_text(json.dumps({"platform": "feishu", "format": "1", "cases": [case]}), encoding="utf-8")
    (result,) = run_vectors("feishu", path)
    return result.status


def event() -> Frame:
    payload = json.dumps(EVENT).encode()
    return Frame(SeqID=1, LogID=2, service=5, method=1, headers=tuple(HEADERS.items()), payload=payload)


def pong() -> Frame:
    return Frame(service=5, headers=(("type", "pong"),), payload=json.dumps(CONFIG).encode())


def test_an_acknowledgement_as_listed_passes(tmp_path: Path) -> None:
    assert verdict(tmp_path, event(), ack=ACK) == "ok"


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": 0},
        {"SeqID": 2},
        {"payload_json": {"code": 500}},
        {"headers_kept": {**HEADERS, "seq": "1"}},
        {"headers_kept": {"type": "event"}},
        {"headers_added": []},
        {"headers_added": ["biz_rt", "another"]},
        {"no_such_field": 1},
    ],
    ids=str,
)
def test_another_acknowledgement_fails(tmp_path: Path, wrong: dict[str, Any]) -> None:
    assert verdict(tmp_path, event(), ack={**ACK, **wrong}) == "FAIL"


def test_an_acknowledgement_that_was_not_sent_fails(tmp_path: Path) -> None:
    assert verdict(tmp_path, pong(), ack=ACK) == "FAIL"


def test_settings_that_were_taken_over_pass_and_others_fail(tmp_path: Path) -> None:
    assert verdict(tmp_path, pong(), client_config=CONFIG) == "ok"
    assert verdict(tmp_path, pong(), client_config={"PingInterval": 91}) == "FAIL"
    assert verdict(tmp_path, pong(), client_config={"Another": 1}) == "FAIL"


def test_the_next_ping_is_compared_decoded(tmp_path: Path) -> None:
    assert verdict(tmp_path, pong(), next_ping_frame_base64=PING) == "ok"
    assert verdict(tmp_path, pong(), next_ping_frame_base64=REORDERED) == "ok"


def test_another_ping_fails(tmp_path: Path) -> None:
    other = base64.b64encode(frames.write(Frame(service=6, headers=(("type", "ping"),)))).decode()

    assert verdict(tmp_path, pong(), next_ping_frame_base64=other) == "FAIL"
    assert verdict(tmp_path, pong(), next_ping_frame_base64=base64.b64encode(b"\xff").decode()) == "FAIL"
