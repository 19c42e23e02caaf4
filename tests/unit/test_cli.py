"""The command line: lists of files."""

from pathlib import Path

import pytest

from understanding_bn import cli, files


def inputs(*arguments):
    """What the stage `figure` would be given as its inputs."""
    return cli._parser().parse_args(["figure", "any", "--inputs", *map(str, arguments), "--out", "."]).inputs


def test_a_list_file_stands_for_the_paths_on_its_lines(tmp_path):
    names = ["plain.parquet", "with a space.parquet", "@leading/at.parquet"]
    files.write_list(tmp_path / "a list.txt", names)
    assert inputs(f"@{tmp_path / 'a list.txt'}") == [Path(name) for name in names]
    mixed = inputs("first", f"@{tmp_path / 'a list.txt'}", "./@last")
    assert mixed == [Path("first"), *map(Path, names), Path("@last")]


def test_other_options_take_an_at_sign_literally(tmp_path):
    files.write_list(tmp_path / "list.txt", ["one", "two"])
    arguments = (
        f"report --preset p --claims c --later l --items i --runs @{tmp_path}/list.txt --captions @captions --out o"
    )
    args = cli._parser().parse_args(arguments.split())
    assert args.runs == [Path("one"), Path("two")]
    assert args.captions == Path("@captions")


@pytest.mark.parametrize(("content", "reason"), [(None, "no such list of files"), ("", "an empty list")])
def test_a_list_file_that_is_missing_or_empty_is_one_line(tmp_path, capsys, content, reason):
    path = tmp_path / "list.txt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SystemExit) as ended:
        cli.main(["figure", "fig1_accuracy", "--inputs", f"@{path}", "--out", str(tmp_path)])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {path}: {reason}")
    assert said.count("\n") == 1
