"""Makes `snakemake --logger brief` known to Snakemake, which finds its plugins by their names.

Snakemake imports every plugin that it finds, asked for or not, and does so before it reads config files. So here, too,
a file that Snakemake can't read is told in one line, instead of in hundreds.
"""

import itertools
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from snakemake_interface_logger_plugins.base import LogHandlerBase

PROJECT = Path(__file__).resolve().parents[2]


def config_files(arguments: Sequence[str]) -> Iterator[str]:
    """The config files that a command line of Snakemake names."""
    for position, word in enumerate(arguments):
        option, _, value = word.partition("=")
        if option in ("--configfile", "--configfiles"):
            following = itertools.takewhile(lambda each: not each.startswith("-"), arguments[position + 1 :])
            yield from [value] if value else following


def is_for_this_project(arguments: Sequence[str]) -> bool:
    """Whether a command line of Snakemake runs this project's Snakefile."""
    words = [part for word in arguments for part in (word.split("=", 1) if word.startswith("--snakefile=") else [word])]
    following = dict(itertools.pairwise(words))
    named = following.get("--snakefile") or following.get("-s") or "Snakefile"
    return Path(named).resolve() == PROJECT / "Snakefile"


def check(arguments: Sequence[str]) -> None:
    """End here, with one line, if Snakemake could not read one of its config files."""
    program, *words = arguments or [""]
    if Path(program).name not in ("snakemake", "__main__.py") or not is_for_this_project(words):
        return
    for file in config_files(words):
        from understanding_bn import cli

        cli.main(["check", "--syntax", file])


check(sys.argv)


class LogHandler(LogHandlerBase):
    """Shows a run in short; a dry run is shown as Snakemake shows it."""

    def __post_init__(self) -> None:
        """Begin to show, unless nothing is run."""
        from understanding_bn import terminal

        self.handler: logging.Handler
        self.handler = logging.StreamHandler() if self.common_settings.dryrun else terminal.Handler()

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record."""
        self.handler.setFormatter(self.formatter)
        self.handler.emit(record)

    def close(self) -> None:
        """End showing."""
        self.handler.close()
        super().close()

    @property
    def writes_to_stream(self) -> bool:
        """It does: on stderr."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """It does not."""
        return False

    @property
    def has_filter(self) -> bool:
        """It chooses itself, except in a dry run."""
        return not self.common_settings.dryrun

    @property
    def has_formatter(self) -> bool:
        """It does, except in a dry run."""
        return not self.common_settings.dryrun

    @property
    def needs_rulegraph(self) -> bool:
        """It does not."""
        return False
