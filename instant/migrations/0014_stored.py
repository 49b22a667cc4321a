"""Messages that wait for their readers, and what a channel says of them and of its status."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import instant.fields
import instant.stored.deleting


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("instant", "0013_tickets"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="channel",
            name="answers_pings",
            field=models.BooleanField(
                default=False,
                help_text="Whether a reader answers when it is asked if it is there.",
                verbose_name="answers pings",
            ),
        ),
        migrations.AddField(
            model_name="channel",
            name="last_ping",
            field=models.DateTimeField(
                blank=True, editable=False, null=True, verbose_name="last ping"
            ),
        ),
        migrations.AddField(
            model_name="channel",
            name="last_pong",
            field=models.DateTimeField(
                blank=True, editable=False, null=True, verbose_name="last answer"
            ),
        ),
        migrations.AddField(
            model_name="channel",
            name="status_groups",
            field=models.ManyToManyField(
                blank=True,
                help_text="Counts where listed groups and users may see it.",
                related_name="+",
                to="auth.group",
                verbose_name="groups that may see the status",
            ),
        ),
        migrations.AddField(
            model_name="channel",
            name="status_level",
            field=models.CharField(
                choices=[
                    ("nobody", "Nobody"),
                    ("subscribers", "Whoever may subscribe"),
                    ("listed", "Listed groups and users"),
                    ("staff", "Staff"),
                    ("superuser", "Superuser"),
                ],
                default="staff",
                help_text="Who may see whether anybody answers.",
                max_length=20,
                verbose_name="may see the status",
            ),
        ),
        migrations.AddField(
            model_name="channel",
            name="status_viewers",
            field=models.ManyToManyField(
                blank=True,
                help_text="Counts where listed groups and users may see it.",
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="users who may see the status",
            ),
        ),
        migrations.AddField(
            model_name="channel",
            name="store",
            field=models.CharField(
                blank=True,
                choices=[
                    ("disabled", "Not at all"),
                    ("cache", "Until one reader acknowledged them"),
                    ("cacheall", "Until every reader acknowledged them"),
                    ("store", "For ever"),
                ],
                default="",
                help_text="Empty: as INSTANT[“STORE”] says.",
                max_length=10,
                verbose_name="messages are stored",
            ),
        ),
        migrations.CreateModel(
            name="Message",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "uuid",
                    models.UUIDField(
                        editable=False,
                        help_text="The publication's id, which pages know.",
                        verbose_name="UUID",
                    ),
                ),
                ("tenant", models.CharField(blank=True, max_length=63, verbose_name="tenant")),
                (
                    "channel",
                    instant.fields.NameField(
                        help_text="Its name when it was published.",
                        max_length=255,
                        verbose_name="channel",
                    ),
                ),
                (
                    "context",
                    models.TextField(
                        blank=True,
                        help_text="What the sender wants to have back, as JSON.",
                        verbose_name="context",
                    ),
                ),
                (
                    "content",
                    models.TextField(
                        help_text="What subscribers receive, as JSON.", verbose_name="content"
                    ),
                ),
                ("is_reply", models.BooleanField(default=False, verbose_name="reply")),
                (
                    "created_at",
                    models.DateTimeField(
                        db_index=True, default=django.utils.timezone.now, verbose_name="created"
                    ),
                ),
                (
                    "request",
                    models.ForeignKey(
                        blank=True,
                        help_text="What it replies to, for as long as that is kept.",
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="answers",
                        to="instant.message",
                        verbose_name="request",
                    ),
                ),
                (
                    "row",
                    models.ForeignKey(
                        blank=True,
                        help_text="Empty for a channel of a namespace, or a user's own.",
                        null=True,
                        on_delete=instant.stored.deleting.messages,
                        related_name="messages",
                        to="instant.channel",
                        verbose_name="channel's row",
                    ),
                ),
                (
                    "sender",
                    models.ForeignKey(
                        blank=True,
                        help_text=(
                            "Empty for what Python code published, and for users who were deleted."
                        ),
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="sender",
                    ),
                ),
            ],
            options={
                "verbose_name": "message",
                "verbose_name_plural": "messages",
                "db_table": "instant_message",
                "ordering": ("id",),
                "permissions": (
                    ("view_message_content", "Can view the content of stored messages"),
                ),
                "default_permissions": ("change", "delete", "view"),
            },
        ),
        migrations.CreateModel(
            name="Acknowledgement",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "created_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, verbose_name="acknowledged"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=instant.stored.deleting.acknowledgements,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
                (
                    "message",
                    models.ForeignKey(
                        on_delete=instant.stored.deleting.acknowledgements,
                        related_name="acknowledgements",
                        to="instant.message",
                        verbose_name="message",
                    ),
                ),
            ],
            options={
                "verbose_name": "acknowledgement",
                "verbose_name_plural": "acknowledgements",
                "db_table": "instant_acknowledgement",
                "default_permissions": ("view",),
            },
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(fields=["tenant", "channel", "id"], name="instant_message_channel"),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(fields=["uuid"], name="instant_message_uuid"),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.UniqueConstraint(
                fields=("tenant", "channel", "uuid"), name="instant_message_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="acknowledgement",
            constraint=models.UniqueConstraint(
                fields=("message", "user"), name="instant_acknowledged_once"
            ),
        ),
    ]
