"""All addresses of the site."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from assistant import views as assistant
from catalogue import views as catalogue
from desk import views as desk
from notices import views as notices
from orders import views as orders
from reports import views as reports
from talk import views as talk

urlpatterns = [
    path("", notices.board, name="board"),
    path("notices/post/", notices.post, name="notice-post"),
    path("orders/", orders.index, name="orders"),
    path("orders/<int:pk>/", orders.detail, name="order"),
    path("orders/<int:pk>/move/", orders.move, name="order-move"),
    path("orders/<int:pk>/again/", orders.again, name="order-again"),
    path("orders/<int:pk>/share/", orders.share, name="order-share"),
    path("orders/<int:pk>/take-back/", orders.take_back, name="order-take-back"),
    path("catalogue/", catalogue.index, name="catalogue"),
    path("catalogue/import/", catalogue.imports, name="import"),
    path("catalogue/import/<int:pk>/", catalogue.run, name="import-run"),
    path("desk/", desk.desk, name="desk"),
    path("desk/note/", desk.send_note, name="note-send"),
    path("notes/", desk.notes, name="notes"),
    path("report/", reports.report, name="report"),
    path("talk/", talk.talk, name="talk"),
    path("assistant/", assistant.assistant, name="assistant"),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    # Browsers ask for it on pages that name no icon, such as the admin's.
    path("favicon.ico", RedirectView.as_view(url=static("shop/mark.svg"))),
    path("instant/", include("instant.urls")),
    path("admin/", admin.site.urls),
]
