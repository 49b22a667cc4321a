"""
What takes long to show: ``make soak`` runs all of it, ``make soak SOAK='NAME …'`` one.

Each module of this folder is one, with a ``main(arguments)`` that returns the exit code.
"""

import importlib
import os
import signal
import sys
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def main(*arguments):
    import django

    if arguments and arguments[0] not in NAMES:
        print(f"Which one? make soak SOAK='NAME': {', '.join(NAMES)}", file=sys.stderr)
        return 2
    django.setup()
    # What it has started ends with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if arguments:
        name, *rest = arguments
        return importlib.import_module(f"tests.soak.{name}").main(rest)
    failed = [name for name in NAMES if importlib.import_module(f"tests.soak.{name}").main([])]
    print(f"Failed: {', '.join(failed)}" if failed else f"All {len(NAMES)} passed.")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
