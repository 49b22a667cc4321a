"""What every template knows."""

from instant import user_channel


def own_channel(request):
    user = request.user
    return {"own_channel": user_channel(user) if user.is_authenticated else ""}
