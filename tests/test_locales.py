"""The translations: complete, true to the originals' placeholders, and compiled."""

import pytest
from babel.messages import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from django.test import override_settings
from django.utils import translation

from instant import html
from instant.models import Channel
from tests.test_architecture import PACKAGE

LANGUAGES = ("de", "es", "fr")
LOCALE = PACKAGE / "locale"

KEYWORDS = {
    **DEFAULT_KEYWORDS,
    "gettext_lazy": None,
    "gettext_noop": None,
    "pgettext_lazy": ((1, "c"), 2),
}


def in_code():
    catalog = Catalog()
    for _file, _line, message, _comments, context in extract_from_dir(
        str(PACKAGE), [("**.py", "python")], keywords=KEYWORDS
    ):
        catalog.add(message, context=context)
    return catalog


def catalog(language):
    with (LOCALE / language / "LC_MESSAGES" / "django.po").open("rb") as file:
        return read_po(file, locale=language)


def plain(text):
    return text if isinstance(text, str) else tuple(text)


def keys(catalog):
    return {(message.context, plain(message.id)) for message in catalog if message.id}


def texts(catalog):
    return {(context(m), plain(m.id)): plain(m.string) for m in catalog if m.id}


def context(message):
    """Return it as text: Babel before 2.19 reads that of a compiled message as bytes."""
    found = message.context
    return found.decode() if isinstance(found, bytes) else found


def test_these_languages_are_there():
    assert tuple(sorted(path.name for path in LOCALE.iterdir())) == LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated(language):
    """And what no text needs any more is taken out."""
    translated = catalog(language)
    assert keys(translated) == keys(in_code())
    assert not translated.obsolete
    for message in translated:
        if message.id:
            texts = [message.string] if isinstance(message.string, str) else message.string
            assert all(texts), f"{message.id!r} has no translation"
            assert not message.fuzzy, f"the translation of {message.id!r} is doubtful"


@pytest.mark.parametrize("language", LANGUAGES)
def test_placeholders_are_those_of_the_originals(language):
    """What msgfmt --check looks at: formats and plural forms."""
    wrong = [(message.id, errors) for message, errors in catalog(language).check()]
    assert wrong == []
    for message in catalog(language):
        assert ("%(" in str(message.id)) is message.python_format, (
            f"{message.id!r}: #, python-format"
        )


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_django_reads_is_what_is_written(language):
    """“make messages” compiles them."""
    with (LOCALE / language / "LC_MESSAGES" / "django.mo").open("rb") as file:
        compiled = read_mo(file)
    assert texts(compiled) == texts(catalog(language))
    assert len(texts(compiled)) > 60


@pytest.mark.parametrize(
    ("language", "live", "level"),
    [
        ("de", "Verbindung wiederhergestellt.", "Öffentlich"),
        ("fr", "Connexion rétablie.", "Public"),
        ("es", "Conexión restablecida.", "Público"),
        ("it", "Connected again.", "Public"),
    ],
)
def test_pages_and_models_speak_the_language_that_is_active(language, live, level):
    with translation.override(language):
        assert html.script_config()["texts"]["live"] == live
        assert str(Channel.Level.PUBLIC.label) == level


def test_a_name_that_is_refused_is_refused_in_the_forms_language(client, make_user):
    client.force_login(make_user("root", is_staff=True, is_superuser=True))
    with override_settings(LANGUAGE_CODE="de"):
        response = client.post(
            "/admin/instant/channel/add/", {"name": "order:1", "level": "public"}
        )
    shown = response.content.decode()
    assert "ist ein Namensraum" in shown
    assert "&#x27;order-1&#x27;" in shown
