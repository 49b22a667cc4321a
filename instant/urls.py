"""Include these: ``path("instant/", include("instant.urls"))``."""

from django.urls import URLPattern, path

from instant.views import browser

app_name = "instant"

urlpatterns: list[URLPattern] = [
    path("login/", browser.login, name="login"),
    path("get_token/", browser.get_token, name="get_token"),
    path("subscribe/", browser.subscribe, name="subscribe"),
    path("logout/", browser.logout, name="logout"),
]
