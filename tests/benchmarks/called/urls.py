"""The same answer to a call and to a request, with the same middleware."""

import json

from django.http import JsonResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from instant import on_rpc


def answer(product, quantity):
    return {"product": product, "quantity": quantity, "total": product * quantity}


@on_rpc("total", anonymous=True)
def total(call, product: int, quantity: int = 1):
    return answer(product, quantity)


@csrf_exempt
def view(request):
    data = json.loads(request.body)
    return JsonResponse(answer(int(data["product"]), int(data["quantity"])))


@on_rpc("mine")
def mine(call, product: int, quantity: int = 1):
    return {**answer(product, quantity), "user": call.user.pk}


@csrf_exempt
def my_view(request):
    data = json.loads(request.body)
    found = answer(int(data["product"]), int(data["quantity"]))
    return JsonResponse({**found, "user": request.user.pk})


urlpatterns = [
    path("total/", view),
    path("mine/", my_view),
    path("instant/", include("instant.urls")),
]
