"""Answer the methods of the apps' handlers over gRPC."""

from __future__ import annotations

import os
import signal
import sys
from argparse import ArgumentTypeError
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from instant.exceptions import InstantConfigError


class Command(BaseCommand):
    help = (
        "Answers the methods of the apps' handlers over gRPC, to callers whose metadata show "
        "credentials that INSTANT['AUTHENTICATION'] knows, until it is stopped."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--address", default="127.0.0.1", help="Listen on this address (127.0.0.1)."
        )
        parser.add_argument("--port", type=int, default=50051, help="Listen on this port (50051).")
        parser.add_argument(
            "--cert",
            type=Path,
            metavar="FILE",
            help="The certificate chain, as PEM. Without one it listens on this machine only.",
        )
        parser.add_argument("--key", type=Path, metavar="FILE", help="The certificate's key.")
        parser.add_argument(
            "--threads", type=_count, default=8, help="Calls that are answered at once (8)."
        )
        parser.add_argument(
            "--waiting",
            type=_count,
            default=64,
            help="Calls that may wait for a thread (64); more are refused.",
        )
        parser.add_argument(
            "--grace",
            type=float,
            default=10.0,
            metavar="SECONDS",
            help="How long running calls may take when it is stopped (10).",
        )
        parser.add_argument(
            "--proto",
            action="store_true",
            help="Only print gateway.proto, from which clients are made.",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            from instant.inbound.rpc_server.messages import PROTO  # noqa: PLC0415  an extra
            from instant.inbound.rpc_server.server import GatewayServer, Options  # noqa: PLC0415
        except ImportError as exc:
            raise CommandError(
                f'gRPC is an extra: pip install "django-instant[grpc]" ({exc}).'
            ) from exc
        if options["proto"]:
            self.stdout.write(PROTO.read_text(encoding="utf-8"), ending="")
            return
        try:
            server = GatewayServer(
                Options(
                    address=options["address"],
                    port=options["port"],
                    certificate=options["cert"],
                    key=options["key"],
                    threads=options["threads"],
                    waiting=options["waiting"],
                    grace=options["grace"],
                )
            )
        except InstantConfigError as exc:
            raise CommandError(str(exc)) from exc
        self._serve(server, "TLS" if options["cert"] else "no TLS")

    def _serve(self, server: Any, how: str) -> None:
        # An Event's lock may be held by this very thread when the signal comes.
        told: SimpleQueue[int] = SimpleQueue()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: told.put(number))
        server.start()
        self.stdout.write(f"gRPC at {server.where} ({how}). Stop with Ctrl-C.")
        self.stdout.flush()
        while True:
            # A signal that comes just before get() blocks is seen when it no longer does.
            with suppress(Empty):
                told.get(timeout=1)
                break
        if not server.stop():
            self.stderr.write(self.style.WARNING("Calls still ran after the grace period: ended."))
            self.stderr.flush()
            os._exit(1)  # a thread that goes on would keep the process
        self.stdout.write("Stopped.")
        sys.stdout.flush()


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)
