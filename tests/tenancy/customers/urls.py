from django.http import HttpResponse
from django.urls import include, path

from instant import abroadcast, apublish


async def says_hello(request):
    await apublish("$users", "hello")
    await abroadcast(["$users"], "hello again")
    return HttpResponse("")


urlpatterns = [path("instant/", include("instant.urls")), path("hello/", says_hello)]
