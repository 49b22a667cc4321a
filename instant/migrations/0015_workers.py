"""Requests: when they expire, their messages; and the tokens of workers elsewhere."""

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("instant", "0014_stored"),
    ]

    operations = [
        migrations.CreateModel(
            name="WorkerToken",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("responder", models.CharField(max_length=56, verbose_name="responder")),
                (
                    "label",
                    models.CharField(
                        blank=True, help_text="Who has it.", max_length=100, verbose_name="label"
                    ),
                ),
                ("tenant", models.CharField(blank=True, max_length=63, verbose_name="tenant")),
                (
                    "digest",
                    models.CharField(
                        editable=False, max_length=64, unique=True, verbose_name="hash"
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, editable=False, verbose_name="created"
                    ),
                ),
                (
                    "used_at",
                    models.DateTimeField(
                        blank=True, editable=False, null=True, verbose_name="last used"
                    ),
                ),
                (
                    "revoked_at",
                    models.DateTimeField(
                        blank=True, editable=False, null=True, verbose_name="revoked"
                    ),
                ),
            ],
            options={
                "verbose_name": "worker's token",
                "verbose_name_plural": "workers' tokens",
                "db_table": "instant_worker_token",
                "default_permissions": ("change", "delete", "view"),
            },
        ),
        migrations.AddField(
            model_name="ticket",
            name="asked",
            field=models.BigIntegerField(
                blank=True,
                help_text="Of a request that is stored: the key of its message.",
                null=True,
                verbose_name="message",
            ),
        ),
        migrations.AddField(
            model_name="ticket",
            name="expires_at",
            field=models.DateTimeField(
                blank=True,
                db_index=True,
                help_text="Of a request: when nobody waits for it, or needs its answer, any more.",
                null=True,
                verbose_name="expires",
            ),
        ),
    ]
