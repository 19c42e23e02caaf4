"""Config files that Snakemake can't read: told before it tries, in one line."""

import subprocess
import sys

import pytest

import snakemake_logger_plugin_brief as plugin

SNAKEMAKE = str(plugin.PROJECT / ".venv/bin/snakemake")


@pytest.mark.parametrize(
    ("words", "files"),
    [
        ("--cores 2 fig1", []),
        ("--configfile a.yaml -n", ["a.yaml"]),
        ("--configfile a.yaml b.yaml --cores 2", ["a.yaml", "b.yaml"]),
        ("--configfiles=a.yaml --configfile b.yaml", ["a.yaml", "b.yaml"]),
        ("--config seeds=2 --configfile", []),
    ],
)
def test_the_files_that_a_command_line_names(words, files):
    assert list(plugin.config_files(words.split())) == files


def test_an_unreadable_file_ends_it_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(plugin.PROJECT)
    (tmp_path / "latin.yaml").write_bytes("preset: caf\u00e9\n".encode("latin-1"))
    (tmp_path / "sound.yaml").write_text("preset: mine\n")
    plugin.check([SNAKEMAKE, "--configfile", str(tmp_path / "sound.yaml"), "-n"])
    with pytest.raises(SystemExit) as ended:
        plugin.check([SNAKEMAKE, "--configfile", str(tmp_path / "latin.yaml"), "-n"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'latin.yaml'}: line 1 is not UTF-8; save the file as UTF-8\n"


@pytest.mark.parametrize("words", [["-s", "elsewhere/Snakefile"], ["--snakefile=/other/Snakefile"]])
def test_other_workflows_are_left_alone(tmp_path, monkeypatch, words):
    monkeypatch.chdir(plugin.PROJECT)
    plugin.check([SNAKEMAKE, "--configfile", str(tmp_path / "none.yaml"), *words])
    plugin.check(["/usr/bin/pytest", "--configfile", str(tmp_path / "none.yaml")])
    monkeypatch.chdir(tmp_path)
    plugin.check([SNAKEMAKE, "--configfile", str(tmp_path / "none.yaml")])


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"preset: caf\xe9\n", "line 1 is not UTF-8; save the file as UTF-8"),
        (b"- a\n", "expected a block of keys, found a list"),
        (b"seeds: 1\npathvars: 5\n", "config key (top level): key 'pathvars' is unknown; expected one of "),
        (b"__use_yte__: true\nseeds: ?1/0\n", "config key (top level): key '__use_yte__' is unknown; "),
        (b"a: " + b"[" * 500 + b"]" * 500, "blocks are nested too deeply; expected at most 50 in one another"),
    ],
)
def test_what_snakemake_cannot_read(tmp_path, monkeypatch, capsys, content, line):
    monkeypatch.chdir(plugin.PROJECT)
    (tmp_path / "mine.yaml").write_bytes(content)
    with pytest.raises(SystemExit):
        plugin.check([SNAKEMAKE, "--cores", "2", "--configfile", str(tmp_path / "mine.yaml")])
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"error: {tmp_path / 'mine.yaml'}: {line}")


def test_snakemake_itself_asks_first(tmp_path):
    """Whatever loads its plugins."""
    (tmp_path / "mine.yaml").write_bytes(b"preset: caf\xe9\n")
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "-n", "--configfile", str(tmp_path / "mine.yaml")]
    done = subprocess.run(command, cwd=plugin.PROJECT, capture_output=True, text=True)
    assert done.returncode == 2
    assert (
        done.stdout + done.stderr == f"error: {tmp_path / 'mine.yaml'}: line 1 is not UTF-8; save the file as UTF-8\n"
    )
