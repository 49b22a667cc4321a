"""Publications that are written in the transaction of what they tell about."""

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("instant", "0007_revocation_words")]

    operations = [
        migrations.CreateModel(
            name="OutboxRow",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "method",
                    models.CharField(
                        help_text="Of the server's API.", max_length=20, verbose_name="method"
                    ),
                ),
                (
                    "payload",
                    models.TextField(
                        help_text="What the method is called with, as JSON.",
                        verbose_name="payload",
                    ),
                ),
                (
                    "partition",
                    models.BigIntegerField(
                        help_text="Below 0 it was refused for good, or sent and kept.",
                        verbose_name="partition",
                    ),
                ),
                (
                    "namespace",
                    models.CharField(blank=True, max_length=255, verbose_name="namespace"),
                ),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, verbose_name="created"),
                ),
                (
                    "attempts",
                    models.PositiveIntegerField(
                        default=0,
                        help_text="How often the server refused it for good.",
                        verbose_name="refused",
                    ),
                ),
                ("error", models.TextField(blank=True, default="", verbose_name="error")),
                ("sent_at", models.DateTimeField(blank=True, null=True, verbose_name="sent")),
            ],
            options={
                "verbose_name": "outbox row",
                "verbose_name_plural": "outbox rows",
                "db_table": "instant_outbox",
                "default_permissions": ("change", "delete", "view"),
                "permissions": (("view_outbox_payload", "Can view the payload of outbox rows"),),
                "indexes": [
                    models.Index(fields=["partition", "id"], name="instant_outbox_partition")
                ],
            },
        ),
    ]
