"""Permissions on single channels, for sites with django-guardian."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("instant", "0016_notifications")]

    operations = [
        migrations.AlterModelOptions(
            name="channel",
            options={
                "ordering": ("name",),
                "permissions": (
                    ("subscribe_channel", "Can subscribe to one channel (with django-guardian)"),
                    ("publish_channel", "Can publish on one channel (with django-guardian)"),
                    (
                        "view_channel_status",
                        "Can see the status of one channel (with django-guardian)",
                    ),
                ),
                "verbose_name": "channel",
                "verbose_name_plural": "channels",
            },
        ),
    ]
