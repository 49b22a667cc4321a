"""Install the Centrifugo server for this machine and write its config."""

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
    help = "Installs the Centrifugo server and writes its config with fresh keys."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--archive", type=Path, metavar="FILE", help="Take this archive, download nothing."
        )
        parser.add_argument(
            "--base-url",
            default=release.BASE_URL,
            metavar="URL",
            help="Download from this mirror of the releases (default: %(default)s).",
        )
        parser.add_argument(
            "--sha256",
            metavar="HEX",
            help="The archive must have this sha256; default: the release's checksums file.",
        )
        parser.add_argument(
            "--release",
            default=release.VERSION,
            metavar="VERSION",
            help="Centrifugo's version (default: %(default)s, which Instant is tested with).",
        )
        parser.add_argument(
            "--force", action="store_true", help="Install again what is installed already."
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
                "Interrupted. Nothing half-done was left.", returncode=INTERRUPTED
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
            self.stdout.write(f"Installed already: {found.binary} (--force installs it again)")
            return
        self.stdout.write(self.style.SUCCESS(f"Installed: {found.binary}"))
        if found.verified_by:
            self.stdout.write(f"sha256 {found.archive_sha256}: as {found.verified_by} says")
        else:
            self.stderr.write(
                self.style.WARNING(
                    f"Nothing verified this archive (sha256 {found.archive_sha256}): compare it "
                    f"yourself, or give --sha256, or put "
                    f"{release.checksums_name(found.version)} beside it."
                )
            )

    def report_config(self, conf: instant_conf.Conf, written: WrittenConfig) -> None:
        if written.from_old_version:
            self.stdout.write(
                f"Config of Centrifugo 3 or 4 carried over to version 6: {conf.config_file}"
            )
        else:
            what = "written" if written.new else "completed" if written.changed else "kept"
            self.stdout.write(
                f"Config {what}: {conf.config_file} (it holds the keys, nothing to copy)"
            )
        if not written.origins:
            self.stderr.write(self.style.WARNING(NO_ORIGIN))
        if written.overridden:
            self.stdout.write(
                f"{' and '.join(written.overridden)} of the settings or the environment differ "
                f"from the file and win: runws passes them on, a server that you start yourself "
                f"needs them in its environment."
            )
        if written.changed and not written.new:
            self.stdout.write("A server that is running takes this when it is started again.")
        self.stdout.write("Next: python manage.py runws")


class DownloadProgress:
    """
    Print how far a download is: a bar on a terminal, a few plain lines anywhere else.

    ``write`` takes a text without adding a line end to it; ``terminal`` says whether the
    carriage return works there.
    """

    def __init__(self, write: Callable[[str], object], *, terminal: bool) -> None:
        self._write = write
        self._terminal = terminal
        self._last = -1
        self._open = False

    def __call__(self, done: int, total: int | None) -> None:
        """Print the new state where it differs from what stands there."""
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
        """End the line of the bar, where there is one."""
        if self._open:
            self._open = False
            self._write("\n")

    def _bar(self, done: int, total: int | None) -> str:
        if not total:
            return f"{done / _MB:6.1f} MB"
        full = min(_WIDTH, done * _WIDTH // total)
        bar = "#" * full + "." * (_WIDTH - full)
        return f"[{bar}] {done * 100 // total:3} %  {done / _MB:.1f} of {total / _MB:.1f} MB"
