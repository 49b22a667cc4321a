"""What Centrifugo's consumer reads on PostgreSQL: the rows of namespaces that the server knows."""

from django.db import migrations

Q = "''"
"""A quotation mark inside of a text of SQL."""

CREATE = (
    "CREATE TABLE instant_outbox_known (namespace varchar(255) PRIMARY KEY)",
    # Without a namespace: always there.
    "INSERT INTO instant_outbox_known (namespace) VALUES ('')",
    # And none while rights are ending that were revoked a moment ago: whoever lost them gets
    # nothing that was published with it. A router may keep that table from this database.
    f"""
    DO $do$
    DECLARE
        ending text := '';
    BEGIN
        IF to_regclass('instant_revocation') IS NOT NULL THEN
            ending := ' AND NOT EXISTS (SELECT 1 FROM instant_revocation WHERE NOT is_last'
                ' AND claim <> {Q}{Q} AND due_at > now()'
                ' AND created_at > now() - interval {Q}5 seconds{Q})';
        END IF;
        EXECUTE 'CREATE VIEW instant_outbox_ready AS '
            'SELECT id, method, payload, partition FROM instant_outbox '
            'WHERE namespace IN (SELECT namespace FROM instant_outbox_known)' || ending;
    END
    $do$
    """,  # noqa: S608  no text of others
)
DROP = ("DROP VIEW instant_outbox_ready", "DROP TABLE instant_outbox_known")


def _run(statements):
    def run(_apps, schema_editor):
        if schema_editor.connection.vendor == "postgresql":
            for statement in statements:
                schema_editor.execute(statement, None)

    return run


class Migration(migrations.Migration):
    dependencies = [("instant", "0009_outbox_notify")]

    operations = [migrations.RunPython(_run(CREATE), _run(DROP), hints={"model_name": "outboxrow"})]
