"""
What the columns of Revocation mean now; nothing in the database changes.

Code from before and after it works on the same rows during a deploy: see Affected.as_json().
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("instant", "0006_rights_and_revocations")]

    operations = [
        migrations.AlterField(
            model_name="revocation",
            name="loss",
            field=models.JSONField(
                help_text="Whom and what to look at again.", verbose_name="affected"
            ),
        ),
        migrations.AlterField(
            model_name="revocation",
            name="due_at",
            field=models.DateTimeField(
                db_index=True,
                help_text="Until then somebody works on it, or it is not time yet.",
                verbose_name="due",
            ),
        ),
        migrations.AlterField(
            model_name="revocation",
            name="is_last",
            field=models.BooleanField(
                default=False,
                help_text="When it is due, no token from before the change can be used.",
                verbose_name="follow-up check",
            ),
        ),
    ]
