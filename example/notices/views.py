from django.forms import ModelForm, Textarea
from django.shortcuts import redirect, render

from notices.models import Notice
from shop.access import staff_only

SHOWN = 30


class NoticeForm(ModelForm):
    class Meta:
        model = Notice
        fields = ("text", "audience")
        widgets = {"text": Textarea(attrs={"rows": 2, "maxlength": 280})}
        error_messages = {
            "text": dict.fromkeys(
                ("required", "max_length"), "A notice needs a text of at most 280 characters."
            )
        }


def board(request, form=None):
    notices = Notice.objects.for_user(request.user).select_related("author")[:SHOWN]
    form = form or NoticeForm()
    return render(request, "notices/board.html", {"notices": notices, "form": form})


@staff_only
def post(request):
    if request.method == "POST":
        form = NoticeForm(request.POST)
        if not form.is_valid():
            return board(request, form)  # with what was typed
        form.instance.author = request.user
        form.instance.post()
    return redirect("board")
