"""Fill the shop with people, channels, products and orders."""

# ruff: noqa: RUF001  sizes are written with a multiplication sign

from datetime import timedelta
from decimal import Decimal

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils import timezone
from instant.models import Channel

from catalogue.models import ImportRun, Product
from notices.models import Notice
from orders.models import Line, Move, Order, Share
from shop import channels

PASSWORD = "demo"
PEOPLE = {
    "ada": {},
    "bob": {},
    "sam": {"is_staff": True},
    "root": {"is_staff": True, "is_superuser": True},
}
# The prices of last year: importing data/products.csv brings new ones, and one row of it that
# the database refuses, so that its price stays as it is.
PRODUCTS = (
    ("933-A2-M8X30", "Hexagon bolt M8 × 30", "Hexagon bolts · DIN 933", "16.90", 1200),
    ("933-A2-M10X40", "Hexagon bolt M10 × 40", "Hexagon bolts · DIN 933", "30.50", 800),
    ("933-A4-M6X20", "Hexagon bolt M6 × 20", "Hexagon bolts · DIN 933", "11.20", 2400),
    ("912-A2-M5X16", "Socket head screw M5 × 16", "Socket head screws · DIN 912", "8.10", 3100),
    ("912-A4-M8X25", "Socket head screw M8 × 25", "Socket head screws · DIN 912", "21.00", 950),
    ("7991-A2-M6X25", "Countersunk screw M6 × 25", "Countersunk screws · DIN 7991", "12.70", 640),
    ("934-A2-M8", "Hexagon nut M8", "Hexagon nuts · DIN 934", "5.60", 7000),
    ("985-A2-M10", "Lock nut M10", "Lock nuts · DIN 985", "13.30", 2100),
    ("125-A2-M8", "Washer M8", "Washers · DIN 125", "3.10", 12000),
)
FIRST_ORDER = 1001
"""Its primary key; the others count on from there, on pages, in addresses and in channels."""
ORDERS = (
    # customer, shared with, status, age in hours, lines
    ("bob", (), "delivered", 190, (("912-A4-M8X25", 10), ("985-A2-M10", 4))),
    ("ada", ("bob",), "shipped", 52, (("7991-A2-M6X25", 2), ("912-A2-M5X16", 4))),
    ("bob", (), "packed", 20, (("933-A2-M10X40", 12), ("125-A2-M8", 20))),
    ("ada", (), "placed", 3, (("933-A2-M8X30", 3), ("934-A2-M8", 3), ("125-A2-M8", 6))),
)
NOTICES = (
    ("everyone", 70, "The counter is open on Saturdays again, from 9 to 13."),
    ("wholesale", 26, "Pallet prices for DIN 933 stay until the end of the month."),
    ("everyone", 5, "New: A4 stainless in all sizes up to M16, for everything near the sea."),
)


class Command(BaseCommand):
    help = "Fills the shop with people, channels, products and orders; can be run again."

    @transaction.atomic
    def handle(self, *_args, **_options):
        wholesale, _ = Group.objects.get_or_create(name="wholesale")
        people = {name: _person(name, **fields) for name, fields in PEOPLE.items()}
        people["bob"].groups.add(wholesale)
        _channels(wholesale, [people["sam"], people["root"]])
        # Imports run in the site's process: what is unfinished now ended with it.
        ImportRun.objects.filter(status=ImportRun.Status.RUNNING).update(
            status=ImportRun.Status.FAILED, reason="The site was stopped."
        )
        if not Order.objects.exists():
            _goods(people)
        self.stdout.write(f"Demo data is there; everybody's password is “{PASSWORD}”.")


def _person(name, **fields):
    user, is_new = get_user_model().objects.get_or_create(username=name, defaults=fields)
    if is_new:
        user.set_password(PASSWORD)
        user.save()
    return user


def _channels(group, staff):
    levels = {
        channels.PUBLIC: ("public", "Said to everybody who is on the site now."),
        channels.NOTICES: ("public", "The notice board."),
        channels.CATALOGUE: ("public", "Prices that change."),
        channels.WHOLESALE: ("groups", "Notices for wholesale customers."),
        channels.STAFF: ("staff", "What happens in the shop."),
    }
    for name, (level, description) in levels.items():
        Channel.objects.get_or_create(
            name=name, defaults={"level": level, "description": description}
        )
    row = Channel.objects.get(name=channels.WHOLESALE)
    row.groups.add(group)
    row.members.add(*staff)


def _goods(people):
    now = timezone.now()
    products = {
        sku: Product.objects.create(
            sku=sku, name=name, category=category, price=Decimal(price), stock=stock
        )
        for sku, name, category, price, stock in PRODUCTS
    }
    statuses = Order.Status.values
    for pk, (customer, viewers, status, age, lines) in enumerate(ORDERS, FIRST_ORDER):
        begun = now - timedelta(hours=age)
        order = Order.objects.create(pk=pk, customer=people[customer], status=status, created=begun)
        for sku, quantity in lines:
            product = products[sku]
            Line.objects.create(
                order=order, product=product, quantity=quantity, price=product.price
            )
        for viewer in viewers:
            Share.objects.create(order=order, user=people[viewer])
        for n, reached in enumerate(statuses[: statuses.index(status) + 1]):
            by = people["sam"] if n else people[customer]
            at = begun + timedelta(hours=age * n / len(statuses))
            Move.objects.create(order=order, status=reached, by=by, created=at)
    for audience, age, text in NOTICES:
        notice = Notice.objects.create(text=text, audience=audience, author=people["sam"])
        # auto_now_add allows no other time at creation.
        Notice.objects.filter(pk=notice.pk).update(created=now - timedelta(hours=age))
