"""Include these: ``path("instant/", include("instant.urls"))``."""

from django.urls import URLPattern, path

from instant.views import browser, channels, proxy

app_name = "instant"

urlpatterns: list[URLPattern] = [
    path("login/", browser.login, name="login"),
    path("get_token/", browser.get_token, name="get_token"),
    path("subscribe/", browser.subscribe, name="subscribe"),
    path("logout/", browser.logout, name="logout"),
    path("presence/", channels.presence, name="presence"),
    path("history/", channels.history, name="history"),
    path("snapshot/", channels.snapshot, name="snapshot"),
    path("proxy/subscribe/", proxy.subscribe, name="proxy_subscribe"),
    path("proxy/publish/", proxy.publish, name="proxy_publish"),
    path("proxy/sub_refresh/", proxy.sub_refresh, name="proxy_sub_refresh"),
]
