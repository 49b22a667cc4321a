"""Orders, and how they move."""

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q, signals
from django.dispatch import receiver
from django.urls import reverse
from django.utils import timezone
from instant import broadcast, publish, user_channel
from instant.broadcasts import touch
from instant.messages import notify

from catalogue.models import Product
from desk.models import Activity
from orders.realtime import OrderChannel


class MovedAlready(Exception):
    """Somebody else moved the order in the meantime."""


class OrderQuerySet(models.QuerySet):
    def for_user(self, user):
        """Return what the user may see: on pages, and on the orders' channels."""
        if not user.is_active:  # visitors without an account neither
            return self.none()
        if user.is_staff:
            return self
        shared = Share.objects.filter(user=user).values("order")
        return self.filter(Q(customer=user) | Q(pk__in=shared))


class Order(models.Model):
    class Status(models.TextChoices):
        PLACED = "placed", "Placed"
        PACKED = "packed", "Packed"
        SHIPPED = "shipped", "Shipped"
        DELIVERED = "delivered", "Delivered"

    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="orders"
    )
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PLACED)
    created = models.DateTimeField(default=timezone.now)

    objects = OrderQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)

    class Instant:
        """Pages show it again when its status changes, alone and in lists."""

        fields = ("status",)
        lists = True
        visible_to = OrderQuerySet.for_user

        @staticmethod
        def channels(order):
            return order.channel

    def __str__(self):
        return f"Order {self.pk}"

    def get_absolute_url(self):
        return reverse("order", args=[self.pk])

    @property
    def channel(self):
        return OrderChannel.channel(pk=self.pk)

    @property
    def total(self):
        return sum(line.total for line in self.lines.all())

    @property
    def next_status(self):
        following = self.Status.values[self.Status.values.index(self.status) + 1 :]
        return self.Status(following[0]) if following else None

    @property
    def steps(self):
        """Return every status with the move that led there, None where it is yet to come."""
        # Asked anew: a prefetched list would lack the move that was just made.
        moves = {move.status: move for move in Move.objects.filter(order=self)}
        reached = self.Status.values.index(self.status)
        return [
            {
                "status": status,
                "state": "done" if n < reached else "now" if n == reached else "todo",
                "at": moves[status].created if status in moves and n <= reached else None,
            }
            for n, status in enumerate(self.Status)
        ]

    @transaction.atomic
    def place(self, lines):
        self.save()
        self.lines.set(lines, bulk=False)
        self._record(by=self.customer)
        Activity.record(
            "order", f"{self.customer} placed {self}", by=self.customer, url=self.get_absolute_url()
        )

    @transaction.atomic
    def advance(self, status, *, by):
        """
        Move to the next status, and with the commit every page that shows the order.

        Raises MovedAlready where the order isn't just before that status: two people of the
        staff may have pressed the same button.
        """
        if status != self.next_status:
            raise MovedAlready
        if Order.objects.select_for_update().get(pk=self.pk).status != self.status:
            raise MovedAlready
        self.status = status
        self.save(update_fields=["status"])
        self._record(by=by)
        label = self.get_status_display()
        notify(self._people, f"{self}: {label}", f"{by} moved it.", self.get_absolute_url())
        text = f"{by} moved {self} of {self.customer} to {label}"
        Activity.record("order", text, by=by, url=self.get_absolute_url())

    def may_be_shared_by(self, user):
        return user.is_staff or user == self.customer

    @transaction.atomic
    def share_with(self, user, *, by):
        """Let one more user see it, and tell them."""
        _, is_new = self.shares.get_or_create(user=user)
        if not is_new:
            return
        publish(
            user_channel(user),
            f"{self} of {self.customer}",
            data={"order": self.pk, "url": self.get_absolute_url()},
            event_class="order.shared",
        )
        notify(user, f"{self} is shared with you", f"By {by}.", self.get_absolute_url())
        Activity.record(
            "order", f"{by} shared {self} with {user}", by=by, url=self.get_absolute_url()
        )

    @transaction.atomic
    def take_back(self, share, *, by):
        """
        Let somebody see it no longer.

        Nothing is published to them: their right to the order's channel ends with the row
        (see realtime.py), whoever deletes it, and their open page lets go of the order.
        """
        share.delete()
        text = f"{by} took {self} back from {share.user}"
        Activity.record("order", text, by=by, url=self.get_absolute_url())

    @property
    def _people(self):
        return [self.customer, *(share.user for share in self.shares.select_related("user"))]

    def _record(self, *, by):
        self.moves.create(status=self.status, by=by)
        # For those who are on another page; one that shows the order hears of it anyway.
        broadcast(
            [user_channel(user) for user in self._people],
            f"{self}: {self.get_status_display()}",
            data={"order": self.pk},
            event_class="order.moved",
        )


class Share(models.Model):
    """One more user who may see an order."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="shares")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="shares"
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("pk",)
        constraints = (models.UniqueConstraint(fields=("order", "user"), name="shared_once"),)

    class Instant:
        """Who decides on an order sees with whom it is shared; viewers needn't know of others."""

        lists = True

        @staticmethod
        def visible_to(shares, user):
            return shares if user.is_staff else shares.filter(order__customer=user.pk)

    def __str__(self):
        return f"{self.order} for {self.user}"


@receiver([signals.post_save, signals.post_delete], sender=Share)
def _in_lists(instance, **_kwargs):
    """Bring an order into the list of whoever it is shared with, and out of it."""
    touch(Order.objects.filter(pk=instance.order_id))


class Line(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, on_delete=models.PROTECT)
    quantity = models.PositiveIntegerField(default=1)
    price = models.DecimalField(max_digits=8, decimal_places=2)

    class Meta:
        ordering = ("pk",)

    def __str__(self):
        return f"{self.quantity} of {self.product}"

    @property
    def total(self):
        return self.quantity * self.price


class Move(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="moves")
    status = models.CharField(max_length=10, choices=Order.Status.choices)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    created = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("pk",)

    def __str__(self):
        return f"{self.order}: {self.status}"
