"""Install the Centrifugo server for this machine, and write its config."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from instant import conf as instant_conf
from instant.centrifugo.binary import installer, release
from instant.exceptions import InstantConfigError
from instant.server.launch import NO_ORIGIN, WrittenConfig, complete_config

INTERRUPTED = 130  # what a shell reports for Ctrl-C

_WIDTH = 30
_STEP = 25  # per cent between two plain lines
_MB = 1_000_000


class Command(BaseCommand):
    help = "Installs the Centrifugo server and writes its config, with new keys if it has none."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--archive",
            type=Path,
            metavar="FILE",
            help="Install this archive instead of downloading one.",
        )
        parser.add_argument(
            "--base-url",
            default=release.BASE_URL,
            metavar="URL",
            help="Download from this address or mirror (default: %(default)s).",
        )
        parser.add_argument(
            "--sha256",
            metavar="HEX",
            help="The archive's sha256 (default: the one in the release's checksums file).",
        )
        parser.add_argument(
            "--release",
            default=release.VERSION,
            metavar="VERSION",
            help="The version of Centrifugo (default: %(default)s, which Instant is tested with).",
        )
        parser.add_argument(
            "--force", action="store_true", help="Install it even if it is installed already."
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            conf = instant_conf.current()
            found = self.install(conf.dir, options)
            self.report_binary(found)
            self.report_config(conf, complete_config(conf))
        except (installer.InstallError, InstantConfigError) as exc:
            raise CommandError(str(exc)) from exc
        except KeyboardInterrupt:
            raise CommandError(
                "Interrupted. No partial installation was left behind.", returncode=INTERRUPTED
            ) from None

    def install(self, directory: Path, options: dict[str, Any]) -> installer.Installed:
        version = options["release"].removeprefix("v")
        if options["archive"] is None:
            self.stdout.write(f"Centrifugo {version} for {release.current_platform().name}")
        progress = DownloadProgress(
            lambda text: self.stdout.write(text, ending=""), terminal=self.stdout.isatty()
        )
        try:
            return installer.install(
                directory,
                version=version,
                base_url=options["base_url"],
                archive=options["archive"],
                sha256=options["sha256"],
                force=options["force"],
                progress=progress,
            )
        finally:
            progress.close()

    def report_binary(self, found: installer.Installed) -> None:
        if found.kept:
            self.stdout.write(f"Already installed: {found.binary} (--force installs it again)")
            return
        self.stdout.write(self.style.SUCCESS(f"Installed: {found.binary}"))
        if found.verified_by:
            self.stdout.write(f"sha256 {found.archive_sha256}: matches {found.verified_by}")
        else:
            self.stderr.write(
                self.style.WARNING(
                    f"This archive was not verified (sha256 {found.archive_sha256}). Compare it "
                    f"yourself, or use --sha256, or put {release.checksums_name(found.version)} "
                    f"next to it."
                )
            )

    def report_config(self, conf: instant_conf.Conf, written: WrittenConfig) -> None:
        if written.from_old_version:
            self.stdout.write(
                f"Config of Centrifugo 3 or 4 converted to version 6: {conf.config_file}"
            )
        else:
            what = "written" if written.new else "updated" if written.changed else "unchanged"
            self.stdout.write(
                f"Config {what}: {conf.config_file} (Django reads the keys there, nothing to copy)"
            )
        if not written.origins:
            self.stderr.write(self.style.WARNING(NO_ORIGIN))
        if written.overridden:
            self.stdout.write(
                f"{' and '.join(written.overridden)} in the settings or the environment differ "
                f"from the file and override it. “runws” passes them on; a server that you start "
                f"yourself needs them in its environment."
            )
        if written.changed and not written.new:
            self.stdout.write("Restart the server if it is running.")
        self.stdout.write("Next: python manage.py runws")


class DownloadProgress:
    """
    Print how far a download is: a bar on a terminal, a few plain lines anywhere else.

    ``write`` writes a string and adds no newline. ``terminal`` says whether a carriage return
    works there.
    """

    def __init__(self, write: Callable[[str], object], *, terminal: bool) -> None:
        self._write = write
        self._terminal = terminal
        self._last = -1
        self._open = False

    def __call__(self, done: int, total: int | None) -> None:
        """Print the new state if it looks different from the last one."""
        step = done * 100 // total if total else done // _MB
        if not self._terminal and total:
            step -= step % _STEP
        if step == self._last or not (self._terminal or total):
            return
        self._last = step
        if self._terminal:
            self._open = True
            self._write(f"\r{self._bar(done, total)}")
        elif step:
            self._write(f"{step:3} % of {(total or 0) / _MB:.1f} MB\n")

    def close(self) -> None:
        """End the line of the bar, if there is one."""
        if self._open:
            self._open = False
            self._write("\n")

    def _bar(self, done: int, total: int | None) -> str:
        if not total:
            return f"{done / _MB:6.1f} MB"
        full = min(_WIDTH, done * _WIDTH // total)
        bar = "#" * full + "." * (_WIDTH - full)
        return f"[{bar}] {done * 100 // total:3} %  {done / _MB:.1f} of {total / _MB:.1f} MB"
