"""Streams: text that grows, and its pieces."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import instant.fields


class Migration(migrations.Migration):
    dependencies = [
        ("instant", "0020_live_list"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Stream",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("tenant", models.CharField(blank=True, max_length=63)),
                ("channel", instant.fields.NameField(max_length=255)),
                ("run", models.CharField(max_length=32)),
                ("claim", models.CharField(max_length=32)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("writing", "Writing"),
                            ("done", "Done"),
                            ("failed", "Failed"),
                            ("interrupted", "Interrupted"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="writing",
                        max_length=11,
                    ),
                ),
                ("length", models.PositiveBigIntegerField(default=0)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("seen_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, db_index=True, null=True)),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "db_table": "instant_stream",
                "default_permissions": (),
                "indexes": [
                    models.Index(fields=["state", "seen_at"], name="instant_stream_seen"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "channel"), name="instant_stream_one"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="StreamChunk",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("start", models.PositiveBigIntegerField()),
                ("end", models.PositiveBigIntegerField()),
                ("text", models.TextField()),
                (
                    "stream",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="chunks",
                        to="instant.stream",
                    ),
                ),
            ],
            options={
                "db_table": "instant_stream_chunk",
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("stream", "end"), name="instant_stream_chunk_one"
                    ),
                ],
            },
        ),
    ]
