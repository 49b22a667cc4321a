"""
PostgreSQL tells of each new row, with its partition, when it is committed.

A relay of ours and Centrifugo's consumer both listen. Other databases have no such thing.
"""

from django.db import migrations

TABLE = "instant_outbox"
NAME = "instant_outbox_notify"
CHANNEL = "instant_outbox_partition"


def make(_apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    schema_editor.execute(
        f"""
        CREATE OR REPLACE FUNCTION {NAME}() RETURNS trigger AS $$
        BEGIN
            PERFORM pg_notify('{CHANNEL}', NEW.partition::text);
            RETURN NULL;
        END;
        $$ LANGUAGE plpgsql
        """
    )
    schema_editor.execute(f"DROP TRIGGER IF EXISTS {NAME} ON {TABLE}")
    schema_editor.execute(
        f"CREATE TRIGGER {NAME} AFTER INSERT ON {TABLE} FOR EACH ROW "
        f"WHEN (NEW.partition >= 0) EXECUTE PROCEDURE {NAME}()"
    )


def drop(_apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP TRIGGER IF EXISTS {NAME} ON {TABLE}")
        schema_editor.execute(f"DROP FUNCTION IF EXISTS {NAME}()")


class Migration(migrations.Migration):
    dependencies = [("instant", "0008_outbox")]

    operations = [migrations.RunPython(make, drop, hints={"model_name": "outboxrow"})]
