from django.contrib import messages
from django.forms import ModelForm, Textarea
from django.http import JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from notices.models import Notice
from shop.access import staff_only

SHOWN = 30


class NoticeForm(ModelForm):
    class Meta:
        model = Notice
        fields = ("text", "audience")
        widgets = {"text": Textarea(attrs={"rows": 2, "maxlength": 280})}


def board(request):
    notices = Notice.objects.for_user(request.user).select_related("author")[:SHOWN]
    return render(request, "notices/board.html", {"notices": notices, "form": NoticeForm()})


def latest(request):
    """Answer what was posted since the page was made, or since the connection was lost."""
    after = request.GET.get("after", "")
    notices = Notice.objects.for_user(request.user).select_related("author")
    newer = notices.filter(pk__gt=int(after) if after.isdecimal() else 0)
    return JsonResponse({"items": [notice.as_data() for notice in newer[:SHOWN]]})


@require_POST
@staff_only
def post(request):
    form = NoticeForm(request.POST)
    if form.is_valid():
        form.instance.author = request.user
        form.instance.post()
    else:
        messages.error(request, "A notice needs a text of at most 280 characters.")
    return redirect("board")
