"""The report takes too long for an answer: whoever asks for it gets a ticket, and a job counts."""

import os
import time

from django.conf import settings
from instant import on_rpc
from instant.handlers import Refused

from catalogue.models import Product
from reports.models import Report, count


def is_staff(call):
    return call.user.is_staff


@on_rpc("report.build", queue="reports", can=is_staff)
def build(call):
    """
    Count what is on the shelves.

    It may begin again in another process, if this one dies. So it writes once, at its end.
    """
    products = Product.objects.order_by("category")
    categories = list(products.values_list("category", flat=True).distinct())
    if not categories:
        raise Refused(409, "there is nothing in the catalogue")
    lines = []
    for number, category in enumerate(categories):
        # Ends here, if somebody has cancelled it.
        call.progress(number / len(categories), f"{category}, by process {os.getpid()}")
        lines.append(count(category))
        time.sleep(settings.REPORT_SECONDS / len(categories))
    return Report.objects.create(lines=lines, by=call.user).as_data()
