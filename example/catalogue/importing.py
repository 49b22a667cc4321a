"""
Import a CSV file: row by row, whatever its size, with a progress that browsers see.

Each row has a savepoint of its own. A row that is refused, however late, takes along what pages
would be told of it: nobody sees a price that isn't in the catalogue.
"""

import csv
import io
import logging
import threading
import time
from decimal import Decimal, InvalidOperation
from itertools import islice

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from instant import publish
from instant.exceptions import PublishError
from instant.live import send_html

from catalogue.models import ImportRun, Product, RefusedRow
from desk.models import Activity
from shop.channels import CATALOGUE

logger = logging.getLogger(__name__)

COLUMNS = ("sku", "name", "category", "price", "stock")
LENGTHS = {"sku": 40, "name": 120, "category": 60}
"""As in the model; SQLite would not notice."""
CHUNK = 40
"""Rows that are committed together, so that other writers get their turn."""
REST = 0.03
"""Seconds between two chunks. On SQLite one writes at a time; who waits may look every 100 ms."""
INTERVAL = 0.1
"""Seconds between two messages about the progress: more of them nobody could see."""
SHOWN = 100
"""Refused rows that a page lists."""
MAX_PRICE = Decimal("999999.99")
MAX_STOCK = 1_000_000_000


class ImportStopped(Exception):
    """The file can't be read any further."""


class RowRefused(Exception):
    """The row is wrong, the others may be right."""


def start(run, path):
    """Import in the background, in this process; an upload is deleted afterwards."""
    threading.Thread(target=_work, args=(run, path), name=f"import-{run.pk}", daemon=True).start()


def _work(run, path):
    importer = Importer(run)
    try:
        importer.read(path)
    except ImportStopped as exc:
        importer.finish(ImportRun.Status.FAILED, str(exc))
    except Exception:
        logger.exception("Import %s failed.", run.pk)
        importer.finish(ImportRun.Status.FAILED, "The import failed; the site's log says why.")
    finally:
        connection.close()
        if path.parent == settings.IMPORTS:
            path.unlink(missing_ok=True)


class Importer:
    def __init__(self, run):
        self.run = run
        self._told = 0.0
        self._created_told = 0

    def read(self, path):
        size = path.stat().st_size or 1
        with path.open("rb") as raw, io.TextIOWrapper(raw, "utf-8-sig", newline="") as text:
            rows = self._rows(csv.DictReader(text, strict=True))
            while chunk := list(islice(rows, CHUNK)):
                with transaction.atomic():
                    for line, row in chunk:
                        self._import(line, row)
                    # The rest belongs to finish(): 100 means that all is done.
                    self.run.percent = min(99, raw.tell() * 100 // size)
                    self.run.save()
                self._tell()
                time.sleep(REST)
        self.finish(ImportRun.Status.DONE)

    def finish(self, status, reason=""):
        run = self.run
        run.status, run.reason = status, reason
        if status == ImportRun.Status.DONE:
            run.percent = 100
        with transaction.atomic():
            run.save()
            counts = (
                f"{run.created_rows} new, {run.updated_rows} updated, {run.refused_rows} refused"
            )
            text = f"Import of {run.file_name} {run.get_status_display().lower()}: {counts}"
            Activity.record("import", text, by=run.by, url=run.get_absolute_url())
        self._tell(last=True)

    def _rows(self, reader):
        try:
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise ImportStopped(f"The first line lacks: {', '.join(missing)}.")
            for row in reader:
                yield reader.line_num, row
        except UnicodeDecodeError:
            if not reader.line_num:  # a picture, a spreadsheet, UTF-16
                raise ImportStopped("This file is not text in UTF-8. Export it as CSV.") from None
            raise ImportStopped(f"After line {reader.line_num}: the file isn't UTF-8.") from None
        except csv.Error as exc:
            raise ImportStopped(f"Line {reader.line_num or 1} is no CSV: {exc}.") from None

    def _import(self, line, row):
        try:
            with transaction.atomic():  # a savepoint: only this row goes when it is refused
                is_new = self._save(row)
        except RowRefused as exc:
            self._refuse(line, row, str(exc))
        except IntegrityError:
            self._refuse(line, row, "the stock is below zero")
        else:
            self.run.created_rows += is_new
            self.run.updated_rows += not is_new

    def _save(self, row):
        sku, name, category = (_text(row, column) for column in ("sku", "name", "category"))
        price, stock = _price(row), _stock(row)
        product = Product.objects.filter(sku=sku).first()
        is_new = product is None
        if is_new:
            product = Product(sku=sku)
        product.was = None if is_new or product.price == price else product.price
        product.name, product.category, product.price, product.stock = name, category, price, stock
        # Lists show it with the commit, if the database takes the row.
        product.save()
        return is_new

    def _refuse(self, line, row, reason):
        self.run.refused_rows += 1
        sku = (row.get("sku") or "")[:40]
        RefusedRow.objects.create(run=self.run, line=line, sku=sku, reason=reason)

    def _tell(self, *, last=False):
        now = time.monotonic()
        if not last and now - self._told < INTERVAL:
            return
        self._told = now
        try:
            percent = {"percent": self.run.percent}
            publish(
                self.run.channel, data=percent, event_class="import.progress", bucket="progress"
            )
            if self.run.created_rows > self._created_told:
                self._created_told = self.run.created_rows
                self._tell_readers()
        except PublishError as exc:
            # The import matters more than its progress bar.
            logger.warning("%s", exc)

    def _tell_readers(self):
        """Tell whoever reads the catalogue that there is more in it."""
        count = {"count": Product.objects.count()}
        send_html(CATALOGUE, "catalogue/_count.html", count, target="#count")
        send_html(CATALOGUE, "catalogue/_grown.html", target="#new-products")


def _text(row, column):
    value = (row.get(column) or "").strip()
    limit = LENGTHS[column]
    if not value:
        raise RowRefused(f"no {column}")
    if len(value) > limit:
        raise RowRefused(f"the {column} has more than {limit} characters")
    return value


def _price(row):
    given = (row.get("price") or "").strip()
    try:
        price = Decimal(given).quantize(Decimal("0.01"))
    except InvalidOperation:
        raise RowRefused(f"“{given[:20]}” is no price" if given else "no price") from None
    if not 0 < price <= MAX_PRICE:  # NaN fails here too
        raise RowRefused(f"a price of {price} is out of range")
    return price


def _stock(row):
    given = (row.get("stock") or "").strip()
    digits = given.removeprefix("-")
    if not digits.isdecimal() or not digits.isascii() or int(digits[:12]) > MAX_STOCK:
        raise RowRefused(f"“{given[:20]}” is no stock" if given else "no stock")
    return int(given)
