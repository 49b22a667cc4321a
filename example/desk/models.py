"""What the staff see happen, and the notes that they send."""

from django.conf import settings
from django.db import models, transaction
from instant import publish, user_channel

from shop.channels import STAFF


class Activity(models.Model):
    """One line of the staff's feed."""

    class Kind(models.TextChoices):
        ORDER = "order", "Order"
        NOTICE = "notice", "Notice"
        NOTE = "note", "Note"
        IMPORT = "import", "Import"

    kind = models.CharField(max_length=10, choices=Kind.choices)
    text = models.CharField(max_length=400)
    url = models.CharField(max_length=200, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name_plural = "activities"

    class Instant:
        lists = True

        @staticmethod
        def visible_to(activities, user):
            return activities if user.is_staff else activities.none()

    def __str__(self):
        return self.text

    @classmethod
    @transaction.atomic
    def record(cls, kind, text, *, by, url=""):
        """
        Add a line to the feed, and return the publication that says so.

        Inside a transaction it appears with its commit.
        """
        activity = cls.objects.create(kind=kind, text=text, url=url, by=by)
        return publish(STAFF, text, data={"id": activity.pk}, event_class="activity")


class Note(models.Model):
    """A private note of the staff to one user."""

    text = models.CharField(max_length=280)
    recipient = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notes"
    )
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-pk",)

    class Instant:
        lists = True

        @staticmethod
        def visible_to(notes, user):
            return notes.filter(recipient=user.pk)

    def __str__(self):
        return self.text

    @transaction.atomic
    def send(self):
        """
        Save it and show it to its recipient, and to nobody else.

        Returns the publication of the feed's line.
        """
        self.save()
        data = {"author": str(self.author), "text": self.text}
        publish(user_channel(self.recipient), self.text, data=data, event_class="note")
        # The feed says that there was a note, not what it says.
        text = f"{self.author} sent {self.recipient} a note"
        return Activity.record(Activity.Kind.NOTE, text, by=self.author)
