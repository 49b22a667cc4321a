"""The notice board."""

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q

from desk.models import Activity
from shop.channels import NOTICES, WHOLESALE


class NoticeQuerySet(models.QuerySet):
    def for_user(self, user):
        """Return what the user may read: the same rule as on the channels."""
        everyone = Q(audience=Notice.Audience.EVERYONE)
        if user.is_authenticated and (
            user.is_staff or user.groups.filter(name="wholesale").exists()
        ):
            return self.filter(everyone | Q(audience=Notice.Audience.WHOLESALE))
        return self.filter(everyone)


class Notice(models.Model):
    class Audience(models.TextChoices):
        EVERYONE = "everyone", "Everyone"
        WHOLESALE = "wholesale", "Wholesale customers"

    text = models.CharField(max_length=280)
    audience = models.CharField(max_length=12, choices=Audience.choices, default=Audience.EVERYONE)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    created = models.DateTimeField(auto_now_add=True)

    objects = NoticeQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)

    class Instant:
        """Boards show it in their lists; other programs may hear of it on its channel."""

        fields = ("text",)
        lists = True
        visible_to = NoticeQuerySet.for_user

        @staticmethod
        def channels(notice):
            return WHOLESALE if notice.audience == "wholesale" else NOTICES

    def __str__(self):
        return self.text

    @transaction.atomic
    def post(self):
        """Save it, and show it on every open board once the transaction is committed."""
        self.save()
        Activity.record("notice", f"{self.author} posted: {self.text}", by=self.author)
