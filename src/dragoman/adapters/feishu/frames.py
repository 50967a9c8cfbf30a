"""The frames of the long connection: protobuf (proto2), one message type for everything.

The type is described here in code and built when the first frame comes: no generated file to keep in step,
and an account with a webhook never loads the library. Its texts are declared as bytes, which are the same on
the wire: implementations of protobuf differ in what they make of a text that is not UTF-8, we refuse it.
Source: the official SDK's `ws/pb/pbbp2.proto`.
"""

import base64
import functools
from collections.abc import Iterable
from typing import Any, Final, Literal

from dragoman import wire
from dragoman.errors import Malformed
from dragoman.model import Value

CONTROL: Final = 0
DATA: Final = 1
"""What `Frame.method` says."""

Label = Literal["required", "optional", "repeated"]

HEADER: Final[tuple[tuple[str, Label, str], ...]] = (("key", "required", "bytes"), ("value", "required", "bytes"))
FRAME: Final[tuple[tuple[str, Label, str], ...]] = (
    ("SeqID", "required", "uint64"),
    ("LogID", "required", "uint64"),
    ("service", "required", "int32"),
    ("method", "required", "int32"),
    ("headers", "repeated", "message"),
    ("payload_encoding", "optional", "bytes"),
    ("payload_type", "optional", "bytes"),
    ("payload", "optional", "bytes"),
    ("LogIDNew", "optional", "bytes"),
)
"""The fields of both messages in the order of their numbers, which count from 1."""

OPTIONAL: Final = tuple(name for name, label, _ in FRAME if label == "optional")


class Frame(Value):
    """One frame; an optional field that is not there is None."""

    SeqID: int = 0
    LogID: int = 0
    service: int = 0
    method: int = CONTROL
    headers: tuple[tuple[str, str], ...] = ()
    payload_encoding: bytes | None = None
    payload_type: bytes | None = None
    payload: bytes | None = None
    LogIDNew: bytes | None = None

    def header(self, name: str) -> str:
        """Return the first header of this name, the empty text when there is none."""
        return next((value for key, value in self.headers if key == name), "")


def read(raw: bytes) -> Frame:
    """Decode a frame; raises `Malformed`, and nothing else, for bytes that are none. Unknown fields are left out."""
    message, refusal = _types()
    try:
        found = message.FromString(raw)
    except refusal as error:
        raise Malformed("not a frame") from error
    if not found.IsInitialized():
        raise Malformed("a frame without all of its required fields")
    return Frame(
        SeqID=found.SeqID,
        LogID=found.LogID,
        service=found.service,
        method=found.method,
        headers=tuple(_pairs(found.headers)),
        **{name: getattr(found, name) for name in OPTIONAL if found.HasField(name)},
    )


def _pairs(headers: Iterable[Any]) -> Iterable[tuple[str, str]]:
    try:
        for header in headers:
            yield header.key.decode(), header.value.decode()
    except UnicodeDecodeError as error:
        raise Malformed("a frame's header is not UTF-8") from error


def write(frame: Frame) -> bytes:
    """Encode a frame."""
    message, _ = _types()
    headers = [{"key": key.encode(), "value": value.encode()} for key, value in frame.headers]
    optional = {name: value for name in OPTIONAL if (value := getattr(frame, name)) is not None}
    numbers = {"SeqID": frame.SeqID, "LogID": frame.LogID, "service": frame.service, "method": frame.method}
    written: bytes = message(**numbers, headers=headers, **optional).SerializeToString()
    return written


def described(frame: Frame) -> dict[str, Any]:
    """Return a frame as plain facts; its payload is read as JSON where it is some."""
    payload: Any = frame.payload
    try:
        payload = wire.decode(payload or b"null", Any)
    except Malformed:
        payload = base64.b64encode(payload).decode()
    numbers = {"SeqID": frame.SeqID, "LogID": frame.LogID, "service": frame.service, "method": frame.method}
    return {**numbers, "headers": dict(frame.headers), "payload_json": payload}


@functools.cache
def _types() -> tuple[Any, type[Exception]]:
    """Return the class of a frame, and what it raises for bytes that are none.

    The pool is our own: in the common one another library may have registered these names.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory  # noqa: PLC0415 - on first use, 60 ms and 7 MB

    file = descriptor_pb2.FileDescriptorProto(name="frames.proto", package="feishu", syntax="proto2")
    for name, fields in (("Header", HEADER), ("Frame", FRAME)):
        described = file.message_type.add(name=name)
        for number, (field, label, kind) in enumerate(fields, start=1):
            of = {"type_name": ".feishu.Header"} if kind == "message" else {}
            described.field.add(
                name=field, number=number, label=_constant("LABEL", label), type=_constant("TYPE", kind), **of
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("feishu.Frame")), message.DecodeError


def _constant(group: str, name: str) -> Any:
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto  # noqa: PLC0415 - as above

    return getattr(FieldDescriptorProto, f"{group}_{name.upper()}")
