"""What lies on the shelves, as it was counted at some time."""

from decimal import Decimal

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from catalogue.models import Product


class Report(models.Model):
    lines = models.JSONField(encoder=DjangoJSONEncoder)
    """What count() has returned for each category."""
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-pk",)

    def __str__(self):
        return f"Report {self.pk}"

    def as_data(self):
        lines = [
            {**line, "value": Decimal(line["value"])}  # read from the database it is a text
            for line in self.lines
        ]
        total = {
            "pieces": sum(line["pieces"] for line in lines),
            "value": sum((line["value"] for line in lines), Decimal()),
        }
        return {
            "by": str(self.by),
            "at": self.created,
            "lines": [_as_shown(line) for line in lines],
            "total": _as_shown(total),
        }


def count(category):
    """Return the line of a category. Prices are per 100 pieces."""
    products = list(Product.objects.filter(category=category).values_list("stock", "price"))
    return {
        "category": category,
        "pieces": sum(stock for stock, _ in products),
        "value": sum((stock * price for stock, price in products), Decimal()) / 100,
    }


def _as_shown(line):
    return {**line, "pieces": f"{line['pieces']:,}", "value": f"{line['value']:,.2f}"}
