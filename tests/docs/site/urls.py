from django.urls import include, path

urlpatterns = [path("instant/", include("instant.urls"))]
