"""
The messages of ``gateway.proto``, made here: nobody who installs this needs a compiler.

Generated code is bound to versions of protobuf; a descriptor isn't. A test compares it with
what the compiler makes of the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2

__all__ = ["PROTO", "SERVICE", "CallReply", "CallRequest", "file_descriptor"]

PROTO = Path(__file__).with_name("gateway.proto")
"""What a client in any language is made from."""

_PACKAGE = "instant.v1"

SERVICE = f"{_PACKAGE}.Gateway"

_FILE = "instant/v1/gateway.proto"


def file_descriptor() -> Any:
    """Return what the compiler makes of the file."""
    field = descriptor_pb2.FieldDescriptorProto
    found = descriptor_pb2.FileDescriptorProto(
        name=_FILE, package=_PACKAGE, syntax="proto3", dependency=["google/protobuf/struct.proto"]
    )

    def add(name: str, *fields: tuple[str, Any, str]) -> None:
        message = found.message_type.add(name=name)
        for number, (field_name, kind, of) in enumerate(fields, 1):
            message.field.add(
                name=field_name,
                number=number,
                type=kind,
                label=field.LABEL_OPTIONAL,
                json_name=field_name,
                **({"type_name": of} if of else {}),
            )

    add(
        "CallRequest",
        ("method", field.TYPE_STRING, ""),
        ("data", field.TYPE_MESSAGE, ".google.protobuf.Struct"),
        ("id", field.TYPE_STRING, ""),
    )
    add("CallReply", ("data", field.TYPE_MESSAGE, ".google.protobuf.Value"))
    found.service.add(name="Gateway").method.add(
        name="Call",
        input_type=f".{_PACKAGE}.CallRequest",
        output_type=f".{_PACKAGE}.CallReply",
    )
    return found


# A pool of our own: a project may have compiled the file itself, into the one that all share.
_pool = descriptor_pool.DescriptorPool()
_pool.AddSerializedFile(struct_pb2.DESCRIPTOR.serialized_pb)
_pool.Add(file_descriptor())


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


CallRequest = _message("CallRequest")
CallReply = _message("CallReply")
