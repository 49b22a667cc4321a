"""
Publications of PostgresBrokerBackend wait in a table for the commit of their transaction.

At the commit a deferred trigger hands them to Centrifugo's broker in the same database: its
function locks a shard for all publishers, and so no transaction holds that lock while it is open.
No row outlives its transaction, which is why the table needs no log.

Where nobody uses that backend the table stays empty. Other databases have no such thing.
"""

from django.db import migrations

MAKE = [
    """
    CREATE UNLOGGED TABLE instant_broker (
        id bigserial PRIMARY KEY,
        stream text NOT NULL,
        channel text NOT NULL,
        data jsonb NOT NULL,
        idempotency_key text NOT NULL,
        history_size integer,
        history_ttl interval,
        meta_ttl interval NOT NULL,
        use_delta boolean NOT NULL
    )
    """,
    # Shards first, and in their order: two transactions that publish to the same channels in
    # another order would wait for each other. Only rows of the own transaction are seen.
    """
    CREATE FUNCTION instant_broker_flush()
    RETURNS TABLE (row_id bigint, channel_offset bigint, epoch text) AS $$
    DECLARE
        one record;
        name text;
    BEGIN
        FOR name IN SELECT DISTINCT b.stream FROM instant_broker b LOOP
            EXECUTE format(
                'SELECT s.shard_id FROM %1$I s WHERE s.shard_id IN ('
                'SELECT abs(hashtext(b.channel)::bigint) %% (SELECT count(*) FROM %1$I) '
                'FROM instant_broker b WHERE b.stream = $1) ORDER BY s.shard_id FOR UPDATE',
                name || '_shard_lock'
            ) USING name;
        END LOOP;
        FOR one IN
            WITH due AS (DELETE FROM instant_broker RETURNING *) SELECT * FROM due ORDER BY id
        LOOP
            row_id := one.id;
            EXECUTE format(
                'SELECT p.out_channel_offset, p.out_epoch FROM %I(p_channel => $1, p_data => $2, '
                'p_history_ttl => $3, p_history_size => $4, p_meta_ttl => $5, '
                'p_idempotency_key => $6, p_use_delta => $7) p',
                one.stream || '_publish'
            )
            INTO channel_offset, epoch
            USING one.channel, one.data, one.history_ttl, one.history_size, one.meta_ttl,
                one.idempotency_key, one.use_delta;
            RETURN NEXT;
        END LOOP;
    END;
    $$ LANGUAGE plpgsql SET search_path FROM CURRENT
    """,
    # The first of a transaction's rows takes all of them along; for the others none is left.
    """
    CREATE FUNCTION instant_broker_commit() RETURNS trigger AS $$
    BEGIN
        PERFORM instant_broker_flush();
        RETURN NULL;
    END;
    $$ LANGUAGE plpgsql SET search_path FROM CURRENT
    """,
    """
    CREATE CONSTRAINT TRIGGER instant_broker_commit AFTER INSERT ON instant_broker
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION instant_broker_commit()
    """,
]
DROP = [
    "DROP TABLE instant_broker",
    "DROP FUNCTION instant_broker_commit()",
    "DROP FUNCTION instant_broker_flush()",
]


def make(_apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for statement in MAKE:
            schema_editor.execute(statement, None)


def drop(_apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for statement in DROP:
            schema_editor.execute(statement, None)


class Migration(migrations.Migration):
    dependencies = [("instant", "0010_outbox_known")]

    operations = [migrations.RunPython(make, drop)]
