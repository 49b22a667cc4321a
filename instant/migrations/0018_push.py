"""Web push: browsers that are notified, what waits for them, and reminders of notifications."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("instant", "0017_status"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="notification",
            name="remind_at",
            field=models.DateTimeField(
                blank=True, db_index=True, editable=False, null=True, verbose_name="reminder due"
            ),
        ),
        migrations.AddField(
            model_name="notification",
            name="remind_attempts",
            field=models.PositiveSmallIntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name="notification",
            name="remind_claim",
            field=models.CharField(blank=True, default="", editable=False, max_length=32),
        ),
        migrations.CreateModel(
            name="PushSubscription",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("tenant", models.CharField(blank=True, max_length=63, verbose_name="tenant")),
                (
                    "endpoint",
                    models.TextField(help_text="Of a push service.", verbose_name="address"),
                ),
                ("digest", models.CharField(editable=False, max_length=64)),
                ("p256dh", models.CharField(editable=False, max_length=100)),
                ("auth", models.CharField(editable=False, max_length=32)),
                ("session", models.CharField(db_index=True, editable=False, max_length=32)),
                ("auth_hash", models.TextField(blank=True, editable=False)),
                ("expires_at", models.DateTimeField(blank=True, null=True, verbose_name="expires")),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, verbose_name="created"),
                ),
                (
                    "renewed_at",
                    models.DateTimeField(default=django.utils.timezone.now, verbose_name="renewed"),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "push subscription",
                "verbose_name_plural": "push subscriptions",
                "db_table": "instant_push_subscription",
                "default_permissions": ("delete", "view"),
            },
        ),
        migrations.CreateModel(
            name="QueuedPush",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "due_at",
                    models.DateTimeField(
                        db_index=True, default=django.utils.timezone.now, verbose_name="due"
                    ),
                ),
                (
                    "claim",
                    models.CharField(blank=True, db_index=True, editable=False, max_length=32),
                ),
                ("attempts", models.PositiveIntegerField(default=0, verbose_name="attempts")),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, verbose_name="created"),
                ),
                (
                    "message",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="instant.message",
                        verbose_name="message",
                    ),
                ),
                (
                    "subscription",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="queue",
                        to="instant.pushsubscription",
                        verbose_name="push subscription",
                    ),
                ),
            ],
            options={
                "verbose_name": "queued push",
                "verbose_name_plural": "queued pushes",
                "db_table": "instant_push",
                "default_permissions": (),
            },
        ),
        migrations.AddConstraint(
            model_name="pushsubscription",
            constraint=models.UniqueConstraint(
                fields=("tenant", "digest"), name="instant_push_once"
            ),
        ),
    ]
