"""The real server: Centrifugo's binary, and the tests that run on it as well as on the embedded one."""

import os
import shutil

import pytest

BINARY = os.environ.get("CENTRIFUGO_BIN") or shutil.which("centrifugo")
ABSENT = "no centrifugo binary on PATH or in CENTRIFUGO_BIN"

KINDS = ["embedded", pytest.param("centrifugo", marks=pytest.mark.real_server)]


def leave_out(items):
    """
    Where there is no binary, take out of `items` the tests that need it.

    One of them stays, skipped, so that the summary says once how many there are.
    """
    if BINARY is not None:
        return
    absent = [item for item in items if item.get_closest_marker("real_server")]
    if absent:
        kept = min(absent, key=lambda item: item.nodeid)
        why = f"{ABSENT} ({len(absent)} tests left out, this one too)"
        kept.add_marker(pytest.mark.skip(why))
        left_out = {*absent} - {kept}
        items[:] = [item for item in items if item not in left_out]
