"""What people say to each other at the counter."""

import re

from django.conf import settings
from django.db import models

MAX_LENGTH = 280

_RUDE = re.compile(r"\b(?:darn|heck|shoddy|cheapskates?)\b", re.IGNORECASE)


class Line(models.Model):
    """One line of the talk."""

    text = models.CharField(max_length=MAX_LENGTH)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="lines"
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-pk",)

    class Instant:
        lists = True

        @staticmethod
        def visible_to(lines, user):
            return lines if user.is_authenticated else lines.none()

    def __str__(self):
        return self.text

    def as_data(self):
        return {
            "id": self.pk,
            "text": self.text,
            "author": self.author.get_username(),
            "at": self.created,
        }


def moderated(text):
    """Return the text without what our customers shouldn't read."""
    return _RUDE.sub(lambda found: "*" * len(found[0]), text)
