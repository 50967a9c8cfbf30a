"""The frame codec, with the official SDK's own as the judge."""

import importlib
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.adapters.feishu import frames
from dragoman.adapters.feishu.frames import Frame
from dragoman.errors import Malformed

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
OPTIONAL = st.none() | TEXTS.map(str.encode)
FRAMES = st.builds(
    Frame,
    SeqID=st.integers(0, 2**64 - 1),
    LogID=st.integers(0, 2**64 - 1),
    service=st.integers(-(2**31), 2**31 - 1),
    method=st.integers(-(2**31), 2**31 - 1),
    headers=st.lists(st.tuples(TEXTS, TEXTS), max_size=5).map(tuple),
    payload_encoding=OPTIONAL,
    payload_type=OPTIONAL,
    payload=st.none() | st.binary(max_size=50),
    LogIDNew=OPTIONAL,
)


@pytest.fixture(scope="module")
def theirs(sdk: Any) -> Any:
    """Return the SDK's class of a frame."""
    assert sdk is not None
    return importlib.import_module("lark_oapi.ws.pb.pbbp2_pb2").Frame


def as_theirs(frame: Frame, theirs: Any) -> Any:
    made = theirs(SeqID=frame.SeqID, LogID=frame.LogID, service=frame.service, method=frame.method)
    for key, value in frame.headers:
        header = made.headers.add()
        header.key, header.value = key, value
    for name in ("payload_encoding", "payload_type", "LogIDNew"):
        if (text := getattr(frame, name)) is not None:
            setattr(made, name, text.decode())
    if frame.payload is not None:
        made.payload = frame.payload
    return made


@given(frame=FRAMES)
def test_the_sdk_writes_the_same_bytes_and_reads_ours(frame: Frame, theirs: Any) -> None:
    written = frames.write(frame)

    assert as_theirs(frame, theirs).SerializeToString() == written
    assert theirs.FromString(written) == as_theirs(frame, theirs)


@given(frame=FRAMES)
def test_what_was_written_is_read_again(frame: Frame) -> None:
    assert frames.read(frames.write(frame)) == frame


@given(raw=st.binary(max_size=64))
def test_arbitrary_bytes_are_a_frame_or_malformed(raw: bytes) -> None:
    try:
        found = frames.read(raw)
    except Malformed:
        return
    assert frames.read(frames.write(found)) == found


@given(frame=FRAMES, cut=st.floats(0, 1, exclude_max=True), flipped=st.integers(0, 255))
def test_damaged_frames_are_a_frame_or_malformed(frame: Frame, cut: float, flipped: int) -> None:
    whole = frames.write(frame)
    place = math.floor(cut * len(whole))
    for damaged in (whole[:place], whole[:place] + bytes([flipped]) + whole[place + 1 :]):
        try:
            frames.read(damaged)
        except Malformed:
            continue


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x08\x01\x10\x01\x18\x01", id="without a method"),
        pytest.param(b"\x08\x01\x10\x01\x18\x01\x20\x01\x2a\x03\x0a\x01k", id="a header without a value"),
        pytest.param(b"\x08\x01\x10\x01\x18\x01\x20\x01\x2a\x05\x0a\x01\xff\x12\x00", id="a key that is not UTF-8"),
        pytest.param(b"\x08\x01\x10\x01\x18\x01\x20\x01\x2a\x05\x0a\x00\x12\x01\xff", id="a value that is not UTF-8"),
        pytest.param(b"\x08\x01\x10\x01\x18\x01\x20\x01\x42\x05ab", id="a payload cut short"),
        pytest.param(b"\xff" * 40, id="no tag"),
    ],
)
def test_bytes_that_are_no_frame_are_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        frames.read(raw)


def test_an_absent_payload_and_an_empty_one_stay_apart() -> None:
    assert frames.read(frames.write(Frame())).payload is None
    assert frames.read(frames.write(Frame(payload=b""))).payload == b""


def test_a_field_that_we_do_not_know_is_left_out() -> None:
    known = frames.write(Frame(payload=b"{}"))

    assert frames.read(known + b"\x9a\x06\x01x") == Frame(payload=b"{}")
