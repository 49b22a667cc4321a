"""What the lists of test_lists.py show."""

from django.conf import settings
from django.db import models


class Order(models.Model):
    title = models.CharField(max_length=50)
    status = models.CharField(max_length=10, default="open")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True)

    class Meta:
        app_label = "hall"

    class Instant:
        lists = True

    def __str__(self):
        return self.title
