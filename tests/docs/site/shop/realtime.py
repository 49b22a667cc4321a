"""For documents that use it; one that shows a ``shop/realtime.py`` replaces it."""

from instant import Namespace
from shop import models


class OrderChannel(Namespace):
    name = "order"
    pattern = "<int:pk>"

    def can_subscribe(self, user, pk):
        return models.Order.objects.filter(pk=pk, customer_id=user.pk).exists()
