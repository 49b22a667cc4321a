from django.contrib.auth.models import Group

from instant import Namespace


class OrderChannel(Namespace):
    """The server asks Django, at whichever host PROXY_URL names."""

    name, pattern = "order", "<int:pk>"
    authorize = "proxy"
    client_publish = "ask"

    def can_subscribe(self, user, pk):
        return Group.objects.filter(name=f"order-{pk}", user=user.pk).exists()

    can_publish = can_subscribe
