"""What Centrifugo's consumer reads on PostgreSQL: the rows of namespaces that the server knows."""

from django.db import migrations

CREATE = (
    "CREATE TABLE instant_outbox_known (namespace varchar(255) PRIMARY KEY)",
    # Without a namespace: always there.
    "INSERT INTO instant_outbox_known (namespace) VALUES ('')",
    """
    CREATE VIEW instant_outbox_ready AS
    SELECT id, method, payload, partition FROM instant_outbox
    WHERE namespace IN (SELECT namespace FROM instant_outbox_known)
    """,
)
DROP = ("DROP VIEW instant_outbox_ready", "DROP TABLE instant_outbox_known")


def _run(statements):
    def run(_apps, schema_editor):
        if schema_editor.connection.vendor == "postgresql":
            for statement in statements:
                schema_editor.execute(statement)

    return run


class Migration(migrations.Migration):
    dependencies = [("instant", "0009_outbox_notify")]

    operations = [migrations.RunPython(_run(CREATE), _run(DROP), hints={"model_name": "outboxrow"})]
