"""What customers ask the assistant; its answers are streams."""

from django.conf import settings
from django.db import models

MAX_LENGTH = 200


class Question(models.Model):
    """One question. The text of its answer is on the channel, for as long as it is kept."""

    text = models.CharField(max_length=MAX_LENGTH)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="questions"
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-pk",)

    def __str__(self):
        return self.text

    @property
    def channel(self):
        return f"answer:{self.pk}"
