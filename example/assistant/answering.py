"""Answers: written in a thread of the site's process, where a real shop would queue them."""

import threading

from django.db import connections
from instant.streams import stream

from assistant.fake_model import tokens


def answer(question):
    """Write the answer to its channel, word by word."""
    with stream(question.channel, user=question.author) as out:
        for token in tokens(question.text):
            out.write(token)


def answer_in_background(question):
    threading.Thread(target=_answer_and_close, args=[question], daemon=True).start()


def _answer_and_close(question):
    try:
        answer(question)
    finally:
        connections.close_all()
