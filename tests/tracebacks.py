"""What error reports show of the frames of an exception."""

import sys

from django.views.debug import ExceptionReporter


def all_locals():
    """Return the local variables of all frames of the exception, its causes' and others' too."""
    frames = ExceptionReporter(None, *sys.exc_info()).get_traceback_data()["frames"]
    return "\n".join(
        f"{name} = {value}"
        for frame in frames
        if "/tests/" not in frame["filename"]
        for name, value in frame["vars"]
    )


def shown_locals(request=None):
    """Return the local variables, as Django's reports show them, of Instant's own frames."""
    reporter = ExceptionReporter(request, *sys.exc_info())
    frames = reporter.get_traceback_data()["frames"]
    own = [f for f in frames if "/instant/" in f["filename"] and "/tests/" not in f["filename"]]
    assert own
    return "\n".join(f"{name} = {value}" for frame in own for name, value in frame["vars"])
