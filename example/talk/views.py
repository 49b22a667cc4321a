from django.contrib.auth.decorators import login_required
from django.http import JsonResponse
from django.shortcuts import render

from talk.models import MAX_LENGTH, Line

SHOWN = 30


@login_required
def talk(request):
    lines = Line.objects.select_related("author")[:SHOWN]
    return render(request, "talk/talk.html", {"lines": lines, "max_length": MAX_LENGTH})


@login_required
def latest(request):
    after = request.GET.get("after", "")
    newer = Line.objects.filter(pk__gt=int(after) if after.isdecimal() else 0)
    return JsonResponse(
        {"items": [line.as_data() for line in newer.select_related("author")[:SHOWN]]}
    )
