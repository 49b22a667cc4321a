"""The stock report: queued, with progress, and not lost with the page or the worker."""

import contextlib
import os
import re
import signal

import pytest
from playwright.sync_api import expect

CALCULATED = re.compile(r"^Calculated today, \d\d:\d\d by sam$")


@pytest.fixture
def sam(visit):
    visitor = visit("sam")
    visitor.open("/report/")
    return visitor


def reports(site):
    """Return how many there are."""
    said = site.shell("from reports.models import Report; print(Report.objects.count())")
    return int(said.split()[-1])  # Django's shell says more


def status(visitor):
    return visitor.page.get_by_role("region", name="Calculation").get_by_role("status")


def button(visitor, name="Recalculate report"):
    return visitor.page.get_by_role("button", name=name)


def process(visitor):
    """Return the process that counts, as the page says it."""
    step = visitor.page.locator("#step")
    expect(step).to_contain_text(re.compile(r", by process \d+$"))
    return int(step.inner_text().rpartition(" ")[2])


def test_a_report_with_its_progress(sam, site):
    before = reports(site)
    button(sam).click()
    expect(status(sam)).to_have_text("Calculating…")
    bar = sam.page.get_by_role("progressbar", name="Progress of the report")
    expect(bar).to_have_attribute("value", re.compile(r"^0\.\d"))
    expect(sam.page.locator(".percent")).to_have_text(re.compile(r"^[1-9]\d %$"))
    expect(button(sam)).to_have_attribute("aria-disabled", "true")
    button(sam).click(force=True)  # of no consequence
    expect(status(sam)).to_have_text(CALCULATED)
    lines = sam.page.locator("#lines li")
    washers = lines.filter(has_text="Washers · DIN 125")
    expect(washers).to_have_text(re.compile(r"[\d,]+ pieces€ [\d,]+\.\d\d$"))
    expect(lines.last).to_contain_text("Total")
    expect(bar).to_be_hidden()
    expect(button(sam)).to_be_focused()
    # The page that Django makes says the same, and has nothing to wait for.
    shown = [" ".join(text.split()) for text in lines.all_inner_texts()]
    sam.page.reload()
    sam.live()
    expect(status(sam)).to_have_text(CALCULATED)
    assert [" ".join(text.split()) for text in lines.all_inner_texts()] == shown
    assert sam.page.evaluate("sessionStorage.length") == 0
    assert reports(site) == before + 1


def test_a_reload_in_the_middle(sam, site):
    before = reports(site)
    button(sam).click()
    pid = process(sam)
    os.kill(pid, signal.SIGSTOP)  # so that it isn't done while the page loads
    try:
        sam.page.reload()
        sam.live()
        expect(status(sam)).to_have_text("Calculating…")
        assert process(sam) == pid
        expect(button(sam)).to_have_attribute("aria-disabled", "true")
    finally:
        os.kill(pid, signal.SIGCONT)
    expect(status(sam)).to_have_text(CALCULATED)
    assert reports(site) == before + 1


def test_a_worker_that_is_killed_in_the_middle(sam, site):
    before = reports(site)
    button(sam).click()
    pid = process(sam)
    os.kill(pid, signal.SIGKILL)
    expect(sam.page.locator("#step")).not_to_contain_text(f"process {pid}")
    assert process(sam) != pid
    expect(status(sam)).to_have_text(CALCULATED)
    assert reports(site) == before + 1


def test_a_report_that_is_cancelled(sam, site):
    before = reports(site)
    button(sam).click()
    process(sam)
    button(sam, "Cancel").click()
    expect(status(sam)).to_have_text("Cancelled")
    expect(button(sam, "Cancel")).to_be_hidden()
    expect(button(sam)).to_be_focused()
    expect(sam.page.get_by_role("alert")).to_be_hidden()
    sam.page.reload()
    sam.live()
    expect(button(sam)).not_to_have_attribute("aria-disabled", "true")
    assert reports(site) == before


def test_what_is_refused_says_why(visit, site):
    root = visit("root")
    root.open("/report/")
    with no_staff(site, "root"):
        button(root).click()
        expect(root.page.get_by_role("alert")).to_have_text(
            "It could not be calculated: permission denied."
        )
    expect(button(root, "Cancel")).to_be_hidden()
    button(root).click()
    expect(root.page.get_by_role("alert")).to_be_hidden()
    process(root)
    button(root, "Cancel").click()
    expect(status(root)).to_have_text("Cancelled")


@contextlib.contextmanager
def no_staff(site, name):
    # update() tells nobody: the page stays as it is.
    code = (
        "from django.contrib.auth.models import User\n"
        f"User.objects.filter(username='{name}').update(is_staff={{}})"
    )
    site.shell(code.format(False))
    try:
        yield
    finally:
        site.shell(code.format(True))
