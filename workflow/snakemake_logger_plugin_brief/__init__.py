"""Makes `snakemake --logger brief` known to Snakemake, which finds its plugins by their names."""

import logging

from snakemake_interface_logger_plugins.base import LogHandlerBase


class LogHandler(LogHandlerBase):
    """Shows a run in short; a dry run is shown as Snakemake shows it."""

    def __post_init__(self) -> None:
        """Begin to show, unless nothing is run."""
        # Here, because Snakemake imports every plugin that it finds, whether asked for or not.
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
