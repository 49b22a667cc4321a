"""The file that clients are made from, and the messages that the server is made of."""

from pathlib import Path

import grpc_tools
from google.protobuf import descriptor_pb2
from grpc_tools import protoc

from instant.inbound.rpc_server import messages


def test_the_file_and_the_messages_are_the_same(tmp_path):
    folder = tmp_path / "instant/v1"
    folder.mkdir(parents=True)
    (folder / "gateway.proto").write_text(messages.PROTO.read_text())
    known = Path(grpc_tools.__file__).parent / "_proto"
    code = protoc.main([
        "protoc", f"-I{tmp_path}", f"-I{known}",
        f"--descriptor_set_out={tmp_path / 'set'}", "instant/v1/gateway.proto",
    ])  # fmt: skip
    assert code == 0
    compiled = descriptor_pb2.FileDescriptorSet.FromString((tmp_path / "set").read_bytes())
    assert list(compiled.file) == [messages.file_descriptor()]
