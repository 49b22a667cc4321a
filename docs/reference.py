"""
Write the parts of the reference that come from the code: settings, system checks, commands.

    python docs/reference.py            write them into the pages
    python docs/reference.py --check    exit with 1 where a page says otherwise

Each part stands between two comments in its page, so that it can be read where nothing builds
the pages.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
WIDTH = 120
COMMANDS = (
    "installws",
    "runws",
    "syncws",
    "channels",
    "handlers",
    "publish",
    "listen",
    "enforce",
    "collect_messages",
    "collect_streams",
    "instantdata",
    "relay_outbox",
    "runjobs",
    "runworker",
    "workertoken",
    "pingchannels",
    "vapidkeys",
    "relay_push",
    "instanttypes",
    "asyncapi",
    "openapi",
    "rungrpc",
)

if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()

from django.core.management import load_command_class  # noqa: E402  Django is set up first

from instant import checks, conf  # noqa: E402


def settings() -> str:
    """Return a section for each key of ``INSTANT``."""
    return "\n\n".join(
        _setting(key, text, default or f"`{conf.DEFAULTS[key]!r}`", conf.TYPES.get(key, ("",))[0])
        for key, (text, default) in conf.DESCRIPTIONS.items()
    )


def plain_settings() -> str:
    """Return a section for each setting outside ``INSTANT``."""
    return "\n\n".join(
        _setting(key, text, default) for key, (text, default) in conf.PLAIN_SETTINGS.items()
    )


def _setting(name: str, text: str, default: str, must: str = "") -> str:
    facts = f"Default: {default}." + (f" Must be {must}." if must else "")
    return "\n".join([f"### `{name}`", "", _wrapped(text), "", _wrapped(facts)])


def system_checks() -> str:
    """Return the table of checks, from the docstring of ``instant.checks``."""
    lines = ["| check | |", "|---|---|"]
    for number, text in re.findall(
        r"^(instant\.[EW]\d+) (.+)$", checks.__doc__ or "", re.MULTILINE
    ):
        lines.append(f"| `{number}` | {text.replace('``', '`')} |")
    return "\n".join(lines)


def commands() -> str:
    """Return a section for each management command, from its own help."""
    return "\n\n".join("\n".join(_command(name)) for name in COMMANDS)


def _command(name: str) -> Iterator[str]:
    command = load_command_class("instant", name)
    parser = argparse.ArgumentParser(prog=name, add_help=False)
    command.add_arguments(parser)
    yield f"## `{name}`"
    yield ""
    yield _wrapped(command.help)
    actions = parser._actions  # noqa: SLF001  argparse has no other list of them
    for number, action in enumerate(actions):
        said = ", ".join(action.option_strings) or _positional(action)
        takes = action.metavar or (action.dest.upper() if action.nargs != 0 else "")
        if action.option_strings and takes:
            said += f" [{takes}]" if action.nargs == "?" else f" {takes}"
        if action.choices:
            said = f"{action.option_strings[0]} {'|'.join(map(str, action.choices))}"
        text = (action.help or "") % {"default": action.default}
        if number == 0:
            yield ""
        yield _wrapped(f"- `{said}`: {text}", indent="  ")


def _positional(action: argparse.Action) -> str:
    return {"*": f"{action.dest} …", "?": f"[{action.dest}]"}.get(str(action.nargs), action.dest)


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "settings.md": {"settings": settings, "plain settings": plain_settings},
    "checks.md": {"checks": system_checks},
    "commands.md": {"commands": commands},
}
"""The pages, and what is written into each."""


def written(page: str, text: str) -> str:
    """Return the text of a page with its parts as the code has them."""
    for name, make in PARTS[page].items():
        begin, end = f"<!-- from the code: {name} -->", f"<!-- end: {name} -->"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"{page} has no “{begin} … {end}”.")
        text = f"{before}{begin}\n\n{make()}\n\n{end}{after}"
    return text


def main() -> int:
    """Write the pages, or compare them."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--check", action="store_true", help="Write nothing; exit with 1 where a page differs."
    )
    only_check = parser.parse_args().check
    differ = []
    for page in PARTS:
        path = HERE / page
        text = path.read_text(encoding="utf-8")
        wanted = written(page, text)
        if text != wanted:
            differ.append(page)
            if not only_check:
                path.write_text(wanted, encoding="utf-8")
    if only_check and differ:
        print(  # noqa: T201  a command
            f"Not what the code says: {', '.join(differ)}. “python docs/reference.py” writes it."
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
