"""Who is told that an order has moved."""

from django.contrib.auth.models import User
from django.test import TestCase
from instant.messages import mark_read
from instant.testing import InstantTestMixin, assert_permissions, stored_messages

from catalogue.models import Product
from orders.models import Line, Order


class OrderTest(InstantTestMixin, TestCase):
    def setUp(self):
        super().setUp()
        self.ada = User.objects.create_user("ada")
        self.bob = User.objects.create_user("bob")
        self.sam = User.objects.create_user("sam", is_staff=True)
        product = Product.objects.create(
            sku="W-1", name="Wool", category="Yarn", price="8.50", stock=12
        )
        self.order = Order(customer=self.ada)
        self.order.place([Line(product=product, quantity=2, price="8.50")])

    def test_its_customer_is_notified_and_the_notification_waits(self):
        with stored_messages() as stored:
            self.order.advance(Order.Status.PACKED, by=self.sam)
            told = stored.assert_notified(
                self.ada, f"{self.order}: Packed", url=self.order.get_absolute_url(), count=1
            )
            stored.assert_outstanding(self.ada, count=1)
            stored.assert_outstanding(self.bob, count=0)
            mark_read(self.ada, [told.uuid])
        stored.assert_acknowledged(self.ada, count=1)

    def test_whoever_it_is_shared_with_sees_it_move(self):
        self.order.share_with(self.bob, by=self.ada)
        with stored_messages() as stored:
            self.order.advance(Order.Status.PACKED, by=self.sam)
        for user in (self.ada, self.bob):
            stored.assert_notified(user, f"{self.order}: Packed")
        self.publications.assert_published(self.order.channel)
        assert_permissions(
            self.order.channel, subscribe={self.ada: True, self.bob: True, None: False}
        )
