"""Who may publish and see presence, rows in namespaces, and rights that ended a moment ago."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("instant", "0005_channel_dollar"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Revocation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "loss",
                    models.JSONField(
                        help_text="Whom and what to look at; see losses.Loss.", verbose_name="loss"
                    ),
                ),
                ("created_at", models.DateTimeField(verbose_name="created")),
                ("due_at", models.DateTimeField(db_index=True, verbose_name="due")),
                (
                    "is_last",
                    models.BooleanField(
                        default=False,
                        help_text="When it is due, no token from before the change can be used.",
                        verbose_name="last pass",
                    ),
                ),
                (
                    "attempts",
                    models.PositiveIntegerField(default=0, verbose_name="failed attempts"),
                ),
                (
                    "claim",
                    models.CharField(
                        blank=True,
                        db_index=True,
                        help_text="Who works on it.",
                        max_length=32,
                        verbose_name="claim",
                    ),
                ),
            ],
            options={
                "verbose_name": "revocation",
                "verbose_name_plural": "revocations",
            },
        ),
        migrations.RemoveConstraint(
            model_name="channel",
            name="instant_channel_colon",
        ),
        migrations.AddField(
            model_name="channel",
            name="presence_level",
            field=models.CharField(
                choices=[
                    ("nobody", "Nobody"),
                    ("subscribers", "Whoever may subscribe"),
                    ("staff", "Staff"),
                    ("superuser", "Superuser"),
                ],
                default="nobody",
                help_text="Who may see who is subscribed.",
                max_length=20,
                verbose_name="may see presence",
            ),
        ),
        migrations.AddField(
            model_name="channel",
            name="publish_groups",
            field=models.ManyToManyField(
                blank=True,
                help_text="Counts where listed groups and users may publish.",
                related_name="+",
                to="auth.group",
                verbose_name="groups that may publish",
            ),
        ),
        migrations.AddField(
            model_name="channel",
            name="publish_level",
            field=models.CharField(
                choices=[
                    ("nobody", "Nobody"),
                    ("subscribers", "Whoever may subscribe"),
                    ("listed", "Listed groups and users"),
                    ("staff", "Staff"),
                    ("superuser", "Superuser"),
                ],
                default="nobody",
                help_text="Who may publish from the browser. Python code always may.",
                max_length=20,
                verbose_name="may publish",
            ),
        ),
        migrations.AddField(
            model_name="channel",
            name="publishers",
            field=models.ManyToManyField(
                blank=True,
                help_text="Counts where listed groups and users may publish.",
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="users who may publish",
            ),
        ),
        migrations.AddConstraint(
            model_name="channel",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("is_active", False),
                    models.Q(
                        models.Q(("name__startswith", "user:"), _negated=True),
                        models.Q(("name__startswith", "$user:"), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="instant_channel_user",
                violation_error_message="“user:” begins the names of users' own channels.",
            ),
        ),
    ]
