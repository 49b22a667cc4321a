"""The second and last state of django-instant 4.2.0: a default for the level."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("instant", "0001_initial")]

    operations = [
        migrations.AlterField(
            model_name="channel",
            name="level",
            field=models.CharField(default="superuser", max_length=20),
        ),
    ]
