"""The channel of each order."""

from instant import Namespace

# The module and not its names, since it publishes to the channels that are declared here.
from orders import models


class OrderChannel(Namespace):
    """``order:1002``, for whoever may see order 1002, and says who is looking at it."""

    name = "order"
    pattern = "<int:pk>"
    presence = True
    join_leave = True
    # What for_user() looks at: whoever loses an order by it is let go at once, whether a view, the
    # admin or a shell has made the change.
    depends_on = {
        "orders.Order": lambda order: {"pk": order.pk},
        "orders.Share": lambda share: {"pk": share.order_id},
    }

    def can_subscribe(self, user, pk):
        return models.Order.objects.for_user(user).filter(pk=pk).exists()

    def can_subscribe_many(self, user, many):
        pks = [channel["pk"] for channel in many]
        seen = models.Order.objects.for_user(user).filter(pk__in=pks).values_list("pk", flat=True)
        seen = set(seen)
        return [pk in seen for pk in pks]

    def connection_info(self, user, **_channel):
        return {"name": user.get_username()}
