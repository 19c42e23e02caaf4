"""What stands in a folder of data, without what operating systems and other programs leave there unasked."""

from pathlib import Path

from understanding_bn.errors import UserError
from understanding_bn.files import first_line

# In small letters. Besides these, all hidden files and folders, which begin with a dot.
LEFT_BEHIND = {"thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information"}
LEFT_BEHIND |= {"__macosx", "icon\r", "@eadir", "lost+found"}


def entries(folder: Path) -> list[Path]:
    """The files and folders in a folder, by name.

    Raises:
        UserError: it can't be read.
    """
    try:
        return sorted(path for path in folder.iterdir() if path.name[0] != "." and path.name.lower() not in LEFT_BEHIND)
    except OSError as error:
        raise UserError(f"{folder}: can't be read ({first_line(error)}); expected a folder") from None
