"""
Bring the rows of version 4.2.0 under the rule of the ``$``.

4.2.0 put the ``$`` where ``save()`` saw a non-public level, but not with ``update()`` or
``bulk_create()``, never took it away again, and put it behind a namespace. No row is lost: a
name that the server would refuse stays as it is where it can, and its channel is made
inactive; a name that another row has already gets a number.
"""

from django.db import migrations

from instant.channels.names import MAX_BYTES, check_row_name
from instant.exceptions import InvalidChannelName


def adopt(apps, schema_editor):
    channels = apps.get_model("instant", "Channel").objects.using(schema_editor.connection.alias)
    taken = set(channels.values_list("name", flat=True))
    for channel in channels.order_by("pk").iterator():
        name = right_name(channel.name, public=channel.level == "public")
        changes = []
        if name != channel.name:
            taken.discard(channel.name)
            changes.append(f"renamed to {free(name, taken)}")
            channel.name = free(name, taken)
            taken.add(channel.name)
        try:
            check_row_name(channel.name)
        except InvalidChannelName as exc:
            if channel.is_active:
                channel.is_active = False
                changes.append(f"made inactive, because {exc}")
        if changes:
            channel.save(update_fields=["name", "is_active"])
            print(f"\n    channel {channel.pk}: {'; '.join(changes)}", end="")  # noqa: T201


def right_name(name, *, public):
    namespace, colon, rest = name.partition(":")
    if colon and rest.startswith("$"):  # 4.2.0 wrote ns:$x for $ns:x
        name = f"${namespace}:{rest[1:]}"
    bare = name.lstrip("$") or "channel"
    return bare if public else f"${bare}"[:MAX_BYTES]


def free(name, taken):
    if name not in taken:
        return name
    number = 2
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"


class Migration(migrations.Migration):
    dependencies = [("instant", "0003_channel_members_description")]

    operations = [migrations.RunPython(adopt, migrations.RunPython.noop, elidable=True)]
