from django.contrib import messages
from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import login_required
from django.forms import ModelForm, Textarea
from django.http import JsonResponse
from django.shortcuts import redirect, render

from desk.models import Activity, Note
from shop.access import staff_only

SHOWN = 30


class NoteForm(ModelForm):
    class Meta:
        model = Note
        fields = ("recipient", "text")
        widgets = {"text": Textarea(attrs={"rows": 2, "maxlength": 280})}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["recipient"].queryset = (
            get_user_model().objects.filter(is_active=True, is_staff=False).order_by("username")
        )
        self.fields["recipient"].empty_label = "Choose a customer"
        self.fields["recipient"].label = "To"


@staff_only
def desk(request, form=None):
    context = {
        "activities": Activity.objects.all()[:SHOWN],
        "pending": Activity(kind=Activity.Kind.NOTE),  # what a note shows before it is sent
        "form": form or NoteForm(),
    }
    return render(request, "desk/desk.html", context)


@staff_only
def send_note(request):
    """Send a note; the page's script gets the id of what was published, a form the desk again."""
    if request.method != "POST":
        return redirect("desk")
    form = NoteForm(request.POST)
    is_script = request.headers.get("Accept") == "application/json"
    if form.is_valid():
        form.instance.author = request.user
        publication = form.instance.send()
        if is_script:
            return JsonResponse({"id": publication.id})
        messages.success(request, f"Your note is with {form.instance.recipient}.")
    else:
        error = "A note needs a customer and a text of at most 280 characters."
        if is_script:
            return JsonResponse({"error": error}, status=400)
        form.add_error(None, error)
        return desk(request, form)  # with what was written
    return redirect("desk")


@login_required
def notes(request):
    own = request.user.notes.select_related("author")[:SHOWN]
    return render(request, "desk/notes.html", {"notes": own})
