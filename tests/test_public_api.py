"""What ``from instant import …`` promises, and what an import costs."""

import subprocess
import sys
from importlib import import_module

import pytest

import instant
from instant import exceptions
from tests.test_architecture import PUBLIC

PINNED = {
    "instant": (
        "Namespace abroadcast apublish arequest batch before_send broadcast channel listen on_connect on_message "
        "on_publish "
        "on_refresh on_rpc on_subscribe publish request responder user_channel user_channels"
    ),
    "instant.backends": "BaseBackend get_backend replaced",
    "instant.backends.base": "BaseBackend",
    "instant.backends.centrifugo": "CentrifugoBackend",
    "instant.backends.console": "ConsoleBackend",
    "instant.backends.locmem": "LocmemBackend",
    "instant.broadcasts": "broadcasts collected muted touch",
    "instant.deliveries": "RULES AtMostOnce Delivery Latest Recoverable Stored",
    "instant.enforcement": "arecheck arevoke recheck revoke",
    "instant.exceptions": (
        "BatchError InstantConfigError InstantError InvalidAPIKey InvalidChannelName InvalidPayload "
        "InvalidReply PayloadTooLarge PublishError PublishTimeout ServerNotAsked ServerRefused ServerUnreachable "
        "StreamBusy StreamCancelled StreamError StreamLost StreamTooLong UnknownNamespace"
    ),
    "instant.handlers": (
        "Call Cancelled Disconnect Message Outgoing Policy Proceed Published Refused Wait before_send "
        "on_connect on_message on_publish on_refresh on_rpc on_subscribe"
    ),
    "instant.html": (
        "bell connect_sources lite live_script livelist push_options script script_config source "
        "state stream stream_script websocket_url"
    ),
    "instant.live": "LiveRows alive asend_html live send_html",
    "instant.messages": (
        "aacknowledge acknowledge amark_read anotify aoutstanding aping apong arequest aresend "
        "asend aunread collect mark_read notify outstanding ping pong request resend responder "
        "send unread"
    ),
    "instant.middleware": "StateMiddleware TabMiddleware current_tab",
    "instant.models": (
        "Acknowledgement Channel Listener LiveList LiveListReader Message Notification OutboxRow "
        "PushSubscription QueuedPush Revocation Stream StreamChunk Ticket WorkerSeen WorkerToken "
        "validate_name"
    ),
    "instant.namespaces": (
        "METHODS Action Namespace NamespaceError NoChannelMatch find_namespace registered "
        "row_namespaces tokenless_namespaces"
    ),
    "instant.permissions": (
        "Action Answers Grant amay answers ask channels_for grants grants_after is_known may "
        "may_have_state permitted"
    ),
    "instant.presence": "Change Present apresent present watch",
    "instant.producers": "abroadcast apublish batch broadcast publish user_channel user_channels",
    "instant.signals": "enforcement_failed publication_failed server_lost server_returned",
    "instant.states": "State astates states",
    "instant.streams": (
        "AsyncStreamWriter StreamText StreamWriter acancel aread cancel collect read stream"
    ),
    "instant.tenants": "SchemaTenants Tenants",
    "instant.testing": (
        "AnsweredRequest AnsweredRequests CapturedPublications InstantServer InstantTestMixin "
        "OutboxPublications StoredMessages acall_rpc answered_here answering apublish_as "
        "assert_permissions assert_state assert_stream call_rpc capture_publications "
        "instant_server outbox publish_as run_jobs stored_messages wait_until_live"
    ),
}
"""What the public modules promise; a name is added on purpose and taken away never."""


@pytest.mark.parametrize("module", PINNED)
def test_the_names_are_pinned(module):
    found = import_module(module)
    assert " ".join(found.__all__) == PINNED[module]
    for name in found.__all__:
        assert hasattr(found, name)


def test_every_public_module_is_pinned():
    modules = {name.partition(".")[2].partition(".")[0] for name in PINNED}
    assert modules - {"", "models"} == PUBLIC - {"pytest_plugin"}


def test_the_seeds_import_works():
    from instant.producers import publish

    assert publish is instant.publish


def test_every_exception_is_listed():
    found = {
        name
        for name, value in vars(exceptions).items()
        if isinstance(value, type)
        and issubclass(value, Exception)
        and value.__module__ == "instant.exceptions"
    }
    assert found == set(exceptions.__all__)
    for name in exceptions.__all__:
        assert name in exceptions.__doc__


@pytest.mark.parametrize("heavy", ["cent", "aiohttp", "pydantic", "requests", "jwt"])
def test_import_without_settings_is_light(heavy):
    code = f"import sys, instant; instant.publish; sys.exit({heavy!r} in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PATH": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_embedded_server_starts_without_django():
    code = "import sys, instant.embedded; sys.exit('django' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env={"PATH": ""}, check=True)


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="'instant' has no attribute 'nothing'"):
        _ = instant.nothing
    with pytest.raises(ImportError):
        from instant import nothing  # noqa: F401
    assert set(instant.__all__) <= set(dir(instant))


def test_import_names_no_settings():
    code = "from instant import publish; from django.conf import settings; assert not settings.configured"
    subprocess.run([sys.executable, "-c", code], env={"PATH": ""}, check=True)
