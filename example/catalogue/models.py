"""Products, and the imports that bring them."""

from django.conf import settings
from django.db import models
from django.urls import reverse


class Product(models.Model):
    sku = models.CharField(max_length=40, unique=True)
    name = models.CharField(max_length=120)
    category = models.CharField(max_length=60, db_index=True)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    stock = models.IntegerField(default=0)

    class Meta:
        # By name, M10 would stand before M3: a price list comes in the order of its sizes.
        ordering = ("category", "pk")
        constraints = (
            models.CheckConstraint(condition=models.Q(stock__gte=0), name="stock_not_negative"),
        )

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

    def as_data(self):
        return {
            "run": self.pk,
            "status": self.status,
            "label": self.get_status_display(),
            "percent": self.percent,
            "created": self.created_rows,
            "updated": self.updated_rows,
            "refused": self.refused_rows,
            "reason": self.reason,
        }


class RefusedRow(models.Model):
    run = models.ForeignKey(ImportRun, on_delete=models.CASCADE, related_name="refused")
    line = models.PositiveIntegerField()
    sku = models.CharField(max_length=40, blank=True)
    reason = models.CharField(max_length=200)

    class Meta:
        ordering = ("line",)

    def __str__(self):
        return f"{self.line}: {self.reason}"

    def as_data(self):
        return {"line": self.line, "sku": self.sku, "reason": self.reason}
