from django.conf import settings
from django.db import models


class Membership(models.Model):
    room = models.IntegerField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    muted = models.BooleanField(default=False)
