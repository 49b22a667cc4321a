"""The forecast: a request to a worker, not lost with the page or the worker."""

import os
import re
import signal

import pytest
from playwright.sync_api import expect

ANSWER = re.compile(r"^Nothing runs out within 4 weeks in \d+ % of all runs$")


@pytest.fixture
def sam(visit):
    visitor = visit("sam")
    visitor.open("/report/")
    return visitor


def card(visitor):
    return visitor.page.get_by_role("region", name="Forecast")


def ask(visitor):
    card(visitor).get_by_role("button").click()
    expect(card(visitor).get_by_role("status")).to_have_text("Looking ahead…")


def process(visitor):
    """Return the process that answers, as the page says it."""
    step = card(visitor).locator("[data-slot=message]")
    expect(step).to_contain_text(re.compile(r", by process \d+$"))
    return int(step.inner_text().rpartition(" ")[2])


def test_it_is_answered_by_a_worker_with_progress(sam):
    ask(sam)
    bar = sam.page.get_by_role("progressbar", name="Progress of the forecast")
    expect(bar).to_have_attribute("value", re.compile(r"^0\.\d"))
    expect(card(sam).get_by_role("status")).to_have_text(ANSWER)
    expect(bar).to_be_hidden()
    assert sam.page.evaluate("sessionStorage.length") == 0


def test_a_reload_in_the_middle(sam):
    ask(sam)
    pid = process(sam)
    os.kill(pid, signal.SIGSTOP)  # so that it isn't done while the page loads
    try:
        sam.page.reload()
        sam.live()
        expect(card(sam).get_by_role("status")).to_have_text("Looking ahead…")
        assert process(sam) == pid
    finally:
        os.kill(pid, signal.SIGCONT)
    expect(card(sam).get_by_role("status")).to_have_text(ANSWER)


def test_a_worker_that_is_killed_in_the_middle(sam):
    ask(sam)
    pid = process(sam)
    os.kill(pid, signal.SIGKILL)
    expect(card(sam).locator("[data-slot=message]")).not_to_contain_text(f"process {pid}")
    assert process(sam) != pid
    expect(card(sam).get_by_role("status")).to_have_text(ANSWER)
