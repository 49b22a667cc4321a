"""Lists that pages follow, and who was given them."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("instant", "0019_worker_seen"),
    ]

    operations = [
        migrations.CreateModel(
            name="LiveList",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("digest", models.CharField(max_length=64)),
                ("tenant", models.CharField(blank=True, max_length=63)),
                ("model", models.CharField(max_length=201)),
                ("database", models.CharField(max_length=63)),
                ("queryset", models.TextField()),
                ("row", models.TextField()),
                ("is_public", models.BooleanField(default=False)),
                ("keys", models.TextField(default="[]")),
                ("version", models.BigIntegerField(default=0)),
                ("expires_at", models.DateTimeField()),
            ],
            options={
                "db_table": "instant_live_list",
                "default_permissions": (),
                "indexes": [
                    models.Index(fields=["model", "expires_at"], name="instant_live_list_model"),
                    models.Index(fields=["expires_at"], name="instant_live_list_expires"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "digest"), name="instant_live_list_one"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="LiveListReader",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("sub", models.CharField(blank=True, max_length=255)),
                ("expires_at", models.DateTimeField()),
                (
                    "list",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="readers",
                        to="instant.livelist",
                    ),
                ),
            ],
            options={
                "db_table": "instant_live_list_reader",
                "default_permissions": (),
                "indexes": [models.Index(fields=["sub"], name="instant_live_list_sub")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("list", "sub"), name="instant_live_list_reader_one"
                    )
                ],
            },
        ),
    ]
