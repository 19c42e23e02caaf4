"""Files are whole or absent, errors of the disk name their file, and the future is not believed."""

import errno
import os
import time

import pytest

from understanding_bn import cli, files


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

    def stage(args):
        with files.atomic(tmp_path / "values.parquet"):
            raise OSError(number, "as a library words it")

    monkeypatch.setattr(cli, "_report", stage)
    arguments = "report --preset p --captions c --out o --claims c --later l --items i --runs r"
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments.split())
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said == f"error: {tmp_path}/values.parquet: {says}; nothing half-written is left, mend that and run again\n"


def test_other_errors_of_the_system_are_not_explained_away():
    assert files.trouble(OSError(errno.EIO, "Input/output error")) is None


def test_files_from_the_future_are_dated_now(tmp_path):
    ahead, sound = tmp_path / "ahead", tmp_path / "sound"
    for path in (ahead, sound):
        path.write_text("x")
    os.utime(sound, (1e9, 1e9))
    os.utime(ahead, (time.time() + 1000,) * 2)
    assert files.date_back([ahead, sound, tmp_path / "missing", tmp_path]) == [ahead]
    assert abs(ahead.stat().st_mtime - time.time()) < 100
    assert sound.stat().st_mtime == 1e9
