"""The exceptions that users see."""

import signal


class UserError(Exception):
    """A mistake that the user can mend.

    Its text is one line that names the key or file, what was expected and what to do. The command line prints
    it without a traceback and exits with status 2.
    """


class Stopped(Exception):
    """The job was told to stop by a signal, such as a scheduler's at its time limit. Its text says where it stands.

    The command line exits as shells expect of a process that the signal ended: with 128 + its number.
    """

    def __init__(self, number: int, text: str):
        super().__init__(f"stopped by {signal.Signals(number).name} {text}")
        self.number = number
