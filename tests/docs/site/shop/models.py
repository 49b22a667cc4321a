from django.conf import settings
from django.db import models

from instant import publish


class Order(models.Model):
    customer = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True)
    status = models.CharField(max_length=20, default="placed")

    def ship(self):
        """Tell the customer, once."""
        if self.status != "shipped":
            self.status = "shipped"
            self.save()
            publish(f"order:{self.pk}", data={"status": self.status}, event_class="shipped")


class Device(models.Model):
    key = models.CharField(max_length=40)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
