"""The site as gunicorn serves it: a page that listens, and a view that publishes in a transaction."""

import django
from django.conf import settings

if not settings.configured or not django.apps.apps.ready:
    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()

from pathlib import Path

from django.http import HttpResponse
from django.template import engines
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from django.views.static import serve

import instant
from tests.reliability.publisher import commit

PAGE = """<!doctype html><title>Page</title>{% load instant %}{% instant_script %}
<script>
  window.got = {};
  window.lost = 0;
  for (const name of "{{ names }}".split(",")) {
    got[name] = [];
    instant.channel(name).on("*", ({ data }) => got[name].push(data.number));
    instant.channel(name).onLost(() => { lost += 1; });
  }
</script>"""


def page(request):
    text = engines["django"].from_string(PAGE)
    return HttpResponse(text.render({"names": request.GET["channels"]}, request))


@csrf_exempt
def say(_request, channel, number):
    commit("web", number, channel)
    return HttpResponse()


STATIC = Path(instant.__file__).parent / "static"
urlpatterns = [
    path("", page),
    path("say/<channel>/<int:number>/", say),
    path("static/<path:path>", serve, {"document_root": STATIC}),
    path("instant/", include("instant.urls")),
]
