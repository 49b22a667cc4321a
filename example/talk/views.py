from django.contrib.auth.decorators import login_required
from django.shortcuts import render

from talk.models import MAX_LENGTH, Line

SHOWN = 30


@login_required
def talk(request):
    lines = Line.objects.select_related("author")[:SHOWN]
    return render(request, "talk/talk.html", {"lines": lines, "max_length": MAX_LENGTH})
