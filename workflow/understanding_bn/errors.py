"""The one exception that users see."""


class UserError(Exception):
    """A mistake that the user can mend.

    Its text is one line that names the key or file, what was expected and what to do. The command line prints
    it without a traceback and exits with status 2.
    """
