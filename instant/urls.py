"""Include these: ``path("instant/", include("instant.urls"))``."""

from django.urls import URLPattern, path

from instant.views import (
    centrifugo_proxy,
    channel_data,
    channel_status,
    fragments,
    gateway,
    identity,
    lite,
    messages,
    notifications,
    push,
    rows,
    streams,
    worker,
)
from instant.views.either import either

app_name = "instant"

urlpatterns: list[URLPattern] = [
    # First what is asked most: Django tries one after the other.
    either("proxy/rpc/", centrifugo_proxy.rpc, name="proxy_rpc"),
    either("proxy/publish/", centrifugo_proxy.publish, name="proxy_publish"),
    either("proxy/subscribe/", centrifugo_proxy.subscribe, name="proxy_subscribe"),
    either("proxy/sub_refresh/", centrifugo_proxy.sub_refresh, name="proxy_sub_refresh"),
    # The same for pools, so that what balances them can tell by the path.
    either("proxy/rpc/<str:pool>/", centrifugo_proxy.rpc, name="proxy_rpc"),
    either("proxy/publish/<str:pool>/", centrifugo_proxy.publish, name="proxy_publish"),
    either("proxy/subscribe/<str:pool>/", centrifugo_proxy.subscribe, name="proxy_subscribe"),
    either("proxy/sub_refresh/<str:pool>/", centrifugo_proxy.sub_refresh, name="proxy_sub_refresh"),
    path("proxy/connect/", lite.connect, name="proxy_connect"),
    path("lite/", lite.lite, name="lite"),
    path("login/", identity.login, name="login"),
    path("get_token/", identity.get_token, name="get_token"),
    path("subscribe/", identity.subscribe, name="subscribe"),
    path("logout/", identity.logout, name="logout"),
    path("presence/", channel_data.presence, name="presence"),
    path("history/", channel_data.history, name="history"),
    path("snapshot/", channel_data.snapshot, name="snapshot"),
    path("fragments/", fragments.fragments, name="fragments"),
    path("rows/", rows.rows, name="rows"),
    path("messages/outstanding/", messages.outstanding, name="outstanding"),
    path("messages/acknowledge/", messages.acknowledge, name="acknowledge"),
    path("channels/<str:name>/status/", channel_status.status, name="channel_status"),
    path("channels/<str:name>/ping/", channel_status.ping, name="channel_ping"),
    path("channels/<str:name>/pong/", channel_status.pong, name="channel_pong"),
    path("notifications/", notifications.listed, name="notifications"),
    path("notifications/read/", notifications.read, name="notifications_read"),
    path("push/subscribe/", push.subscribe, name="push_subscribe"),
    path("push/unsubscribe/", push.unsubscribe, name="push_unsubscribe"),
    path("push/notification/", push.notification, name="push_notification"),
    path("push/worker.js", push.worker, name="push_worker"),
    path("streams/", streams.text, name="streams"),
    path("streams/stop/", streams.stop, name="streams_stop"),
    path("rpc/<str:method>/", gateway.rpc, name="rpc"),
    path("worker/<str:action>/", worker.worker, name="worker"),
]
