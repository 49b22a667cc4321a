"""Pages with fragments; permissions, which nothing else changes, are their notes."""

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.shortcuts import render
from django.utils import translation

from instant import Namespace
from instant.broadcasts import broadcasts


@broadcasts(Permission)
class Notes:
    name = "note"

    @staticmethod
    def channels(note):
        return [f"desk:{note.pk}", f"fair:{note.pk}"]


class Desk(Namespace):
    """Guests hear of a note."""

    name = "desk"
    pattern = "<int:pk>"

    def can_subscribe(self, user, pk):
        return user.is_authenticated and user.groups.filter(name="guests").exists()


class Fair(Namespace):
    """Everybody does."""

    name = "fair"
    pattern = "<int:pk>"
    authorize = "open"


def make_note(name):
    kind = ContentType.objects.get_for_model(Permission)
    count = Permission.objects.count()
    return Permission.objects.create(name=name, codename=f"note{count}", content_type=kind).pk


def rename_note(pk, name):
    note = Permission.objects.get(pk=pk)
    note.name = name
    note.save()


def rename_quietly(pk, name):
    """As raw SQL does, of which nobody is told."""
    Permission.objects.filter(pk=pk).update(name=name)


def remove_note(pk):
    Permission.objects.get(pk=pk).delete()


def fragment(request, pk):
    """Show a note; with ?late= it gets that name between rendering and the page's subscription."""
    return _page(request, "hall/fragment.html", pk)


def public(request, pk):
    context = {"channel": f"fair:{pk}", "public": "private" not in request.GET}
    return _page(request, "hall/public.html", pk, **context)


def _page(request, template, pk, **context):
    with translation.override(request.GET.get("language", "en")):
        note = Permission.objects.get(pk=pk)
        found = render(request, template, {"note": note, **context})
    if late := request.GET.get("late"):
        rename_note(pk, late)
    return found
