"""Calls that are put off: a row each."""

import django.utils.timezone
from django.db import migrations, models

import instant.inbound.tickets.model


class Migration(migrations.Migration):
    dependencies = [
        ("instant", "0012_listener"),
    ]

    operations = [
        migrations.CreateModel(
            name="Ticket",
            fields=[
                (
                    "id",
                    models.CharField(
                        default=instant.inbound.tickets.model.new_id,
                        editable=False,
                        max_length=32,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("method", models.CharField(max_length=128, verbose_name="method")),
                (
                    "data",
                    models.TextField(
                        blank=True,
                        help_text="What the caller sent, JSON.",
                        verbose_name="arguments",
                    ),
                ),
                ("tenant", models.CharField(blank=True, max_length=63, verbose_name="tenant")),
                (
                    "owner",
                    models.CharField(
                        blank=True,
                        db_index=True,
                        help_text=(
                            "The primary key of whoever called; empty for an anonymous visitor."
                        ),
                        max_length=255,
                        verbose_name="user",
                    ),
                ),
                (
                    "holder",
                    models.CharField(
                        blank=True,
                        help_text="The session or the connection of an anonymous visitor.",
                        max_length=64,
                        verbose_name="holder",
                    ),
                ),
                (
                    "caller",
                    models.TextField(
                        blank=True, help_text="The connection, as JSON.", verbose_name="caller"
                    ),
                ),
                ("language", models.CharField(blank=True, max_length=32, verbose_name="language")),
                ("queue", models.CharField(max_length=64, verbose_name="queue")),
                (
                    "priority",
                    models.SmallIntegerField(
                        default=0, help_text="The higher one goes first.", verbose_name="priority"
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "queued"),
                            ("running", "running"),
                            ("done", "done"),
                            ("failed", "failed"),
                            ("cancelled", "cancelled"),
                        ],
                        default="queued",
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                (
                    "progress",
                    models.TextField(blank=True, help_text="JSON.", verbose_name="progress"),
                ),
                ("message", models.TextField(blank=True, verbose_name="message")),
                ("result", models.TextField(blank=True, help_text="JSON.", verbose_name="result")),
                (
                    "code",
                    models.PositiveSmallIntegerField(
                        blank=True, null=True, verbose_name="error code"
                    ),
                ),
                ("error", models.TextField(blank=True, verbose_name="error")),
                ("attempts", models.PositiveSmallIntegerField(default=0, verbose_name="attempts")),
                (
                    "claim",
                    models.CharField(
                        blank=True,
                        help_text="Who works on it.",
                        max_length=32,
                        verbose_name="claim",
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, verbose_name="created"),
                ),
                ("started_at", models.DateTimeField(blank=True, null=True, verbose_name="started")),
                (
                    "ended_at",
                    models.DateTimeField(
                        blank=True, db_index=True, null=True, verbose_name="ended"
                    ),
                ),
                (
                    "due_at",
                    models.DateTimeField(
                        blank=True,
                        db_index=True,
                        help_text=(
                            "When somebody has to look at it again: its lease is over, or nobody "
                            "was told."
                        ),
                        null=True,
                        verbose_name="due",
                    ),
                ),
            ],
            options={
                "verbose_name": "ticket",
                "verbose_name_plural": "tickets",
                "permissions": (
                    ("view_ticket_content", "Can view the arguments and results of tickets"),
                ),
                "default_permissions": ("change", "delete", "view"),
                "indexes": [
                    models.Index(
                        fields=["state", "-priority", "created_at"], name="instant_ticket_next"
                    ),
                    models.Index(
                        fields=["state", "queue", "-priority", "created_at"],
                        name="instant_ticket_queue",
                    ),
                ],
            },
        ),
    ]
