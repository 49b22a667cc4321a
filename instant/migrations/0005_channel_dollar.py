"""Let the database hold the rule of the ``$``, and that no active row is in a namespace."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("instant", "0004_adopt_old_channels")]

    operations = [
        migrations.AddConstraint(
            model_name="channel",
            constraint=models.CheckConstraint(
                condition=(
                    models.Q(level="public") & ~models.Q(name__startswith="$")
                    | ~models.Q(level="public") & models.Q(name__startswith="$")
                ),
                name="instant_channel_dollar",
                violation_error_message=(
                    "The name of a channel that isn't public begins with $, "
                    "and that of a public one doesn't."
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="channel",
            constraint=models.CheckConstraint(
                condition=models.Q(is_active=False) | ~models.Q(name__contains=":"),
                name="instant_channel_colon",
                violation_error_message="The name of an active channel has no “:”.",
            ),
        ),
    ]
