"""Config files that Snakemake can't read: told before it tries, in one line."""

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
