"""A page with the script, and a way for the tests to do what an admin or a task does."""

import json

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


urlpatterns = [
    path("", page),
    path("change/<name>/", change),
    path("instant/", include("instant.urls")),
]
