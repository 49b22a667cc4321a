"""Who may use the views."""

from functools import wraps

from django.contrib.auth.views import redirect_to_login
from django.shortcuts import render


def staff_only(view):
    """Send visitors to the login, and show customers that there is nothing here."""

    @wraps(view)
    def guarded(request, *args, **kwargs):
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if not request.user.is_staff:
            return not_found(request)
        return view(request, *args, **kwargs)

    return guarded


def not_found(request):
    """Answer alike for what doesn't exist and for what somebody else may see."""
    return render(request, "404.html", status=404)
