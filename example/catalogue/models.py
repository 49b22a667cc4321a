"""Products, and the imports that bring them."""

from django.conf import settings
from django.db import models
from django.urls import reverse

from catalogue.realtime import ImportChannel


class Product(models.Model):
    sku = models.CharField(max_length=40, unique=True)
    name = models.CharField(max_length=120)
    category = models.CharField(max_length=60, db_index=True)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    was = models.DecimalField(max_digits=8, decimal_places=2, null=True)
    """The price before the last import, if that has changed it."""
    stock = models.IntegerField(default=0)

    class Meta:
        # By name, M10 would stand before M3: a price list comes in the order of its sizes.
        ordering = ("category", "pk")
        constraints = (
            models.CheckConstraint(condition=models.Q(stock__gte=0), name="stock_not_negative"),
        )

    class Instant:
        lists = True

    def __str__(self):
        return self.name


class ImportRun(models.Model):
    """One file on its way into the catalogue."""

    class Status(models.TextChoices):
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Stopped"

    file_name = models.CharField(max_length=200)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.RUNNING)
    percent = models.PositiveSmallIntegerField(default=0)
    created_rows = models.PositiveIntegerField(default=0)
    updated_rows = models.PositiveIntegerField(default=0)
    refused_rows = models.PositiveIntegerField(default=0)
    reason = models.CharField(max_length=300, blank=True)
    started = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-pk",)

    def __str__(self):
        return self.file_name

    def get_absolute_url(self):
        return reverse("import-run", args=[self.pk])

    @property
    def channel(self):
        return ImportChannel.channel(pk=self.pk)


class RefusedRow(models.Model):
    run = models.ForeignKey(ImportRun, on_delete=models.CASCADE, related_name="refused")
    line = models.PositiveIntegerField()
    sku = models.CharField(max_length=40, blank=True)
    reason = models.CharField(max_length=200)

    class Meta:
        ordering = ("line",)

    class Instant:
        lists = True

        @staticmethod
        def visible_to(rows, user):
            return rows if user.is_staff else rows.none()

    def __str__(self):
        return f"{self.line}: {self.reason}"
