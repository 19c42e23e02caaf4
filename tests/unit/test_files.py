"""Files are whole or absent, and errors of the disk name their file."""

import errno

import pytest

from understanding_bn import cli, files
from understanding_bn.report import page


def test_nothing_half_written_is_left(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with pytest.raises(ZeroDivisionError), files.atomic(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert not list(path.parent.iterdir())
    files.write_text(path, "whole")
    with pytest.raises(ZeroDivisionError), files.atomic(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert [each.read_text() for each in path.parent.iterdir()] == ["whole"]


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "no room left on the disk"),
        (errno.EDQUOT, "no room left on the disk"),
        (errno.EROFS, "cannot be written (read-only file system)"),
        (errno.EACCES, "cannot be written (permission denied)"),
    ],
)
def test_trouble_with_a_disk_is_one_line_that_names_the_file(tmp_path, monkeypatch, capsys, number, says):
    """Whichever library met it: not all of them say which file it was."""

    def stage(*arguments):
        with files.atomic(tmp_path / "values.parquet"):
            raise OSError(number, "as a library words it")

    monkeypatch.setattr(page, "run", stage)
    arguments = "report --preset p --captions c --out o --claims c --followups f --items i --runs r"
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments.split())
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said == f"error: {tmp_path}/values.parquet: {says}; nothing half-written is left, mend that and run again\n"


def test_other_errors_of_the_system_are_not_explained_away():
    assert files.trouble(OSError(errno.EIO, "Input/output error")) is None
