"""When workers of responders were last there."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("instant", "0018_push"),
    ]

    operations = [
        migrations.CreateModel(
            name="WorkerSeen",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("tenant", models.CharField(blank=True, max_length=63)),
                ("responder", models.CharField(max_length=56)),
                ("seen_at", models.DateTimeField()),
            ],
            options={
                "db_table": "instant_worker_seen",
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "responder"), name="instant_worker_seen_one"
                    )
                ],
            },
        ),
    ]
