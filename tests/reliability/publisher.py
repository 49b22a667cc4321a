"""
A Django process that publishes in transactions: ``python -m tests.reliability.publisher NAME FILE CHANNEL …``.

It goes on until there is such a file. What it commits it notes in a table, in the same transaction. Killed and started again it goes on behind
what is committed. Whatever is rolled back is published with a number below 0.
"""

import itertools
import random
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import django
from django.db import DatabaseError, connection, transaction

TABLE = (
    "CREATE TABLE IF NOT EXISTS fact (publisher varchar(9), number integer, channel varchar(99))"
)
EACH_FIFTH = 5
PAUSE = 0.01
"""Seconds at most between two commits."""


class Undo(Exception):
    """Rolls back."""


def commit(name, number, channel):
    """Publish and note one message; publish others, below 0, in what is rolled back."""
    from instant import publish

    def say(number):
        publish(channel, data={"publisher": name, "number": number})

    with transaction.atomic():
        with suppress(Undo), transaction.atomic():
            say(-number)
            raise Undo
        say(number)
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO fact VALUES (%s, %s, %s)", [name, number, channel])
    if number % EACH_FIFTH == 0:
        with suppress(Undo), transaction.atomic():
            say(-number)
            raise Undo


def main(name, end, *channels):
    django.setup()
    while True:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT max(number) FROM fact WHERE publisher = %s", [name])
                last = cursor.fetchone()[0] or 0
            for number in itertools.count(last + 1):
                if Path(end).exists():
                    break
                commit(name, number, channels[number % len(channels)])
                time.sleep(random.uniform(0, PAUSE))
        except DatabaseError:  # it was killed; the last number may be committed or not
            connection.close()
            time.sleep(0.02)
        else:
            break
    # A web server's process would live on.
    for thread in threading.enumerate():
        if thread.name == "instant-loss-marks":
            thread.join(60)


if __name__ == "__main__":
    main(*sys.argv[1:])
