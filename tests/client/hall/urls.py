"""A page with the script, and a way for the tests to do what an admin or a task does."""

import json
import threading

from django.contrib.auth import update_session_auth_hash
from django.http import HttpResponse, JsonResponse
from django.template import engines
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from tests.client.hall import changes

PAGE = "<!doctype html><title>Hall</title>{% load instant %}{% instant_script %}"


def page(request):
    return HttpResponse(engines["django"].from_string(PAGE).render({}, request))


@csrf_exempt
def change(request, name):
    body = json.loads(request.body)
    return JsonResponse({"result": getattr(changes, name)(*body.pop("arguments"), **body)})


@csrf_exempt
def password(request):
    """Save first, send a mail that takes longer than a page's second try, and keep the session."""
    user = request.user
    user.set_password("pw")
    user.save()
    threading.Event().wait(4)
    update_session_auth_hash(request, user)
    return HttpResponse()


urlpatterns = [
    path("", page),
    path("password/", password),
    path("change/<name>/", change),
    path("instant/", include("instant.urls")),
]
