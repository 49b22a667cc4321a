"""What version 5 adds to a channel: members, a description, longer and exact names, an index."""

from django.conf import settings
from django.db import migrations, models

import instant.fields
import instant.models


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("instant", "0002_alter_channel_level"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="channel",
            options={
                "ordering": ("name",),
                "verbose_name": "channel",
                "verbose_name_plural": "channels",
            },
        ),
        migrations.AddField(
            model_name="channel",
            name="description",
            field=models.TextField(blank=True, verbose_name="description"),
        ),
        migrations.AddField(
            model_name="channel",
            name="members",
            field=models.ManyToManyField(
                blank=True,
                help_text="Users who may subscribe beside them; counts on the level “Groups” only.",
                to=settings.AUTH_USER_MODEL,
                verbose_name="members",
            ),
        ),
        migrations.AlterField(
            model_name="channel",
            name="groups",
            field=models.ManyToManyField(
                blank=True,
                help_text="Whose members may subscribe; counts on the level “Groups” only.",
                to="auth.group",
                verbose_name="groups",
            ),
        ),
        migrations.AlterField(
            model_name="channel",
            name="is_active",
            field=models.BooleanField(
                default=True,
                help_text="Nobody may subscribe to an inactive channel.",
                verbose_name="active",
            ),
        ),
        migrations.AlterField(
            model_name="channel",
            name="level",
            field=models.CharField(
                choices=[
                    ("public", "Public"),
                    ("users", "Users"),
                    ("groups", "Groups"),
                    ("staff", "Staff"),
                    ("superuser", "Superuser"),
                ],
                default="superuser",
                max_length=20,
                verbose_name="authorized for",
            ),
        ),
        migrations.AlterField(
            model_name="channel",
            name="name",
            field=instant.fields.NameField(
                help_text="A channel that isn't public begins with $.",
                max_length=255,
                unique=True,
                validators=[instant.models.validate_name],
                verbose_name="name",
            ),
        ),
        migrations.AddIndex(
            model_name="channel",
            index=models.Index(fields=["level", "name"], name="instant_channel_level"),
        ),
    ]
