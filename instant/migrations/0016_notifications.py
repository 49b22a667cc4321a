"""Notifications: whose they are, of the messages in users' own channels."""

from django.conf import settings
from django.db import migrations, models

import instant.stored.deleting


class Migration(migrations.Migration):
    dependencies = [
        ("instant", "0015_workers"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Notification",
            fields=[
                (
                    "message",
                    models.OneToOneField(
                        on_delete=instant.stored.deleting.acknowledgements,
                        primary_key=True,
                        related_name="notification",
                        serialize=False,
                        to="instant.message",
                        verbose_name="message",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=instant.stored.deleting.notifications,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "notification",
                "verbose_name_plural": "notifications",
                "db_table": "instant_notification",
                "ordering": ("-message",),
                "default_permissions": ("view",),
            },
        ),
    ]
