"""Django 6's {% partialdef %}: a part of a template has a name, and is a template as any other."""

import pytest
from django.contrib.auth.models import Group
from django.template.loader import get_template

pytestmark = pytest.mark.django_since(6)

NAMED = "{% partialdef status inline %}<b>{{ group.name }}</b>{% endpartialdef %}"
AROUND = "{% partialdef part inline %}{% live group %}<b>{{ group.name }}</b>{% endlive %}{% endpartialdef %}"


def after_a_change(site, group, found):
    Group.objects.filter(pk=group.pk).update(name="new")
    return site.ask(found["ref"])[0]["html"]


def test_a_part_of_another_template_is_shown_and_shown_again(site, group):
    site.templates["group.html"] = f"<title>{NAMED}</title>"
    found = site.element('{% live "group.html#status" group %}')
    assert found.html == "<b>&lt;Ann &amp; Co&gt;</b>"
    assert after_a_change(site, group, found) == "<b>new</b>"


def test_a_block_stands_in_a_part(site, group):
    found = site.element(AROUND)
    assert found.html == "<b>&lt;Ann &amp; Co&gt;</b>"
    assert after_a_change(site, group, found) == "<b>new</b>"


def test_a_view_renders_the_part_alone(site, group, monkeypatch):
    """As it does where htmx asks for it."""
    monkeypatch.setattr(
        "tests.pages.fragments.conftest.get_template", lambda name: get_template(f"{name}#part")
    )
    found = site.element(AROUND)
    assert found.html == "<b>&lt;Ann &amp; Co&gt;</b>"
    assert after_a_change(site, group, found) == "<b>new</b>"


def test_the_page_that_has_the_part_has_it_as_a_fragment(site, group):
    site.templates["group.html"] = "never used"
    found = site.element(
        "{% partialdef status %}<b>{{ group.name }}</b>{% endpartialdef %}"
        '{% live "page.html#status" group %}'
    )
    assert found.html == "<b>&lt;Ann &amp; Co&gt;</b>"
    assert after_a_change(site, group, found) == "<b>new</b>"
