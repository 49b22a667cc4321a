"""What takes too long for an answer: a job counts, and a worker of its own looks ahead."""

import os
import random
import time

from django.conf import settings
from instant import on_rpc, responder
from instant.handlers import Refused
from instant.live import send_html

from catalogue.models import Product
from reports.models import Report, count
from shop.channels import STAFF

RUNS = 40
"""How often the next weeks are played through."""


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
    report = Report.objects.create(lines=lines, by=call.user).as_data()
    send_html(STAFF, "reports/_figures.html", {"report": report}, target="#lines")
    return {"by": report["by"], "at": report["at"]}


@responder("forecast", can=is_staff)
def forecast(call, weeks: int = 4):
    """
    Play through what may be sold in the next weeks; return in how many runs nothing runs out.

    It only reads: where its process dies, another one begins again.
    """
    stocks = list(Product.objects.values_list("stock", flat=True))
    if not stocks:
        raise Refused(409, "there is nothing in the catalogue")
    lasting = 0
    for run in range(RUNS):
        call.progress(run / RUNS, f"run {run + 1} of {RUNS}, by process {os.getpid()}")
        sold = (random.randint(0, 3) * weeks for _ in stocks)  # noqa: S311  no secret
        lasting += all(stock >= amount for stock, amount in zip(stocks, sold, strict=True))
        time.sleep(settings.REPORT_SECONDS / RUNS)
    return {"weeks": weeks, "percent": round(100 * lasting / RUNS)}
