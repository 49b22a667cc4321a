"""
What takes long to show: ``python -m tests.soak NAME [OPTIONS]``, or ``make soak SOAK='NAME …'``.

Each module of this folder is one, with a ``main(arguments)`` that returns the exit code.
"""

import importlib
import os
import sys
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def main():
    name, *arguments = sys.argv[1:] or [""]
    if name not in NAMES:
        print(f"Which one? make soak SOAK='NAME': {', '.join(NAMES)}", file=sys.stderr)
        return 2
    import django

    django.setup()
    return importlib.import_module(f"tests.soak.{name}").main(arguments)


if __name__ == "__main__":
    sys.exit(main())
