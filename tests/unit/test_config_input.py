"""What people write: config files that are no YAML or say a thing twice, and values on the command line."""

import random

import pytest
from snakemake.common.configfile import load_configfile

from understanding_bn import cli
from understanding_bn.errors import UserError
from understanding_bn.experiment import command_line, load, yaml_files

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "an empty file; expected a block of keys"),
        ("# nothing\n", "an empty file; expected a block of keys"),
        ("- a\n", "expected a block of keys, found a list"),
        ("five", "expected a block of keys, found text"),
        ("[1, 2]", "expected a block of keys, found a list"),
        (b"preset: m\nnote: caf\xe9\n", "line 2 is not UTF-8; save the file as UTF-8"),
        ("\ufeff".encode("utf-16"), "line 1 is not UTF-8"),
        ("a: [\n", "not valid YAML in line 2 "),
        ("a: b: c\n", "not valid YAML in line 1 (mapping values are not allowed here)"),
        ("a: 1\n\tb: 2\n", "not valid YAML in line 2 (found character '\\t' that cannot start any token)"),
        ("a: 1\n---\nb: 2\n", "not valid YAML in line 2 (but found another document)"),
        ("a: *b\n", "not valid YAML in line 1 (found undefined alias 'b')"),
        (
            "a: !!set {}\nb: !mine 3\n",
            "not valid YAML in line 2 (could not determine a constructor for the tag '!mine')",
        ),
        ("a: \x07\n", "not valid YAML (special characters are not allowed)"),
        ("seeds: 3\npreset: m\nseeds: 4\n", "key 'seeds' stands twice, in lines 1 and 3; expected it once"),
        ("grid:\n- {norm: none, alpha: 1, norm: batch}\n", "key 'norm' stands twice, in line 2; expected it once"),
        ('{"preset": "m",\n\t"seeds": 3,\n\t"seeds": 4}', "key 'seeds' stands twice, in lines 2 and 3; expected"),
        ("a: " + "[" * 500 + "]" * 500, "blocks are nested too deeply; expected at most 50"),
        ("a: " + "{b: " * 60 + "1" + "}" * 60, "blocks are nested too deeply; expected at most 50"),
        ("a: &a [*a]\n", "blocks are nested too deeply; expected at most 50"),
        (LAUGHS, "holds more than 1000000 values; expected a config"),
        (
            "preset: m\nseeds: " + "1" * 5000,
            f"line 2: '{'1' * 56}... can't be read (Exceeds the limit (4300 digits) for integer string conver",
        ),
        (
            "a: 2024-13-45\n",
            "line 1: '2024-13-45' can't be read (month must be in 1..12); put it in quotes if it is te",
        ),
        ("a: [1,\n!!bool x]\n", "line 2: 'x' can't be read (not of the kind bool); put it in quotes if it is text"),
        ("!!timestamp x: 3\n", "line 1: 'x' can't be read (not of the kind timestamp); put it in quotes"),
    ],
)
def test_files_that_are_no_config_are_one_line(tmp_path, content, message):
    path = tmp_path / "mine.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        load.load(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert str(caught.value).isprintable()


def test_a_folder_and_nothing_are_no_config(tmp_path):
    with pytest.raises(UserError, match=r"can't be read \(Is a directory\); expected a YAML file"):
        load.load(tmp_path)
    with pytest.raises(UserError, match="no such file; give a preset such as"):
        load.load(tmp_path / "no.yaml")


def test_json_is_read_as_json_and_yaml_keeps_its_anchors(tmp_path):
    path = tmp_path / "mine"
    path.write_text('{\t"preset": "m", "optimiser": {"weight_decay": 1e-4}}')
    assert yaml_files.read(path) == {"preset": "m", "optimiser": {"weight_decay": 1e-4}}
    path.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: {<<: *a}\n")
    assert yaml_files.read(path)["b"] == {"x": 3, "y": 2}


# What Snakemake makes of `--config KEY=VALUE`: all below the top is text.


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"subset": {"train": "100"}}, {"subset": {"train": 100}}),
        ({"augmentation": {"flip": "False", "pad": "2"}}, {"augmentation": {"flip": False, "pad": 2}}),
        ({"snapshots": ["0.5", "1e-1"]}, {"snapshots": [0.5, 0.1]}),
        ({"seeds": ["3", "7"]}, {"seeds": [3, 7]}),
        ({"seeds": 3, "plugins": "5"}, {"seeds": 3, "plugins": "5"}),
        ({"tensorboard": "true"}, {"tensorboard": True}),
        ({"preset": 2024}, {"preset": "2024"}),
        ({"data_dir": "null", "extends": "None"}, {"data_dir": None, "extends": None}),
        ({"data_dir": "~"}, {"data_dir": "~"}),
        ({"subset": "{train: 5}", "snapshots": "[0.5]"}, {"subset": {"train": 5}, "snapshots": [0.5]}),
        (
            {"grid": [{"norm": ["batch", "none"], "alpha": ["0.1", "1"], "epochs": "3", "arch": "resnet-8"}]},
            {"grid": [{"norm": ["batch", "none"], "alpha": [0.1, 1], "epochs": 3, "arch": "resnet-8"}]},
        ),
        (
            {"initialization": {"measurements": ["gradient_noise", {"kernel_gradients": {"layer": "3"}}]}},
            {"initialization": {"measurements": ["gradient_noise", {"kernel_gradients": {"layer": 3}}]}},
        ),
        (
            {
                "initialization": {
                    "measurements": {"relative_loss": {"alpha": {"batch": "0.2"}}, "gradient_noise": "null"}
                }
            },
            {"initialization": {"measurements": {"relative_loss": {"alpha": {"batch": 0.2}}, "gradient_noise": None}}},
        ),
        (
            {"initialization": {"measurements": {"divergence_path": {"percent_step": "5", "layers": "null"}}}},
            {"initialization": {"measurements": {"divergence_path": {"percent_step": 5, "layers": None}}}},
        ),
        ({"subset": {"tran": "1"}, "snapshots": "{"}, {"subset": {"tran": "1"}, "snapshots": "{"}),
    ],
)
def test_values_of_the_command_line_have_the_types_of_their_keys(given, value):
    assert command_line.typed(given) == value


def test_what_fits_nothing_is_told_when_the_config_is_resolved():
    for given, message in (
        ({"subset": {"train": "many"}}, "subset.train: 'many' is text, expected a whole number"),
        ({"subset": {"train": "1" * 400}}, "subset.train: "),
        ({"preset": 1.5}, "preset: 1.5 is a number, expected text; put it in quotes, in a config file"),
        ({"seeds": {}}, "seeds: {} is a block of keys, expected a list of whole numbers, or how many"),
        ({"optimiser": {"momentum": {}}}, "optimiser.momentum: {} is a block of keys, expected a number"),
    ):
        with pytest.raises(UserError) as caught:
            load.resolve(load.complete(command_line.typed(given)))
        assert str(caught.value).startswith(f"config key {message}")


def test_files_and_command_line_are_laid_over_one_another(tmp_path):
    for name, text in (
        ("one", "extends: paper\nseeds: 4\n"),
        ("two", "initialization: {measurements: [gradient_noise]}\n"),
    ):
        (tmp_path / name).write_text(text)
    given = {"initialization": {"measurements": {"gradient_noise": {"minibatches": "3"}}}}
    layers = load.own([tmp_path / "one", tmp_path / "two"], given)
    config = load.resolve(load.complete(*layers))
    measured = config.initialization.measurements.model_dump(exclude_none=True)
    assert (config.preset, len(config.seeds), [*measured]) == ("paper", 4, ["gradient_noise"])
    assert (measured["gradient_noise"]["minibatches"], measured["gradient_noise"]["batch_sizes"]) == (3, (4, 16, 64))
    with pytest.raises(UserError, match=r"config key seeds: {} is a block"):  # Snakemake's own merging would drop it
        load.resolve(load.complete(*load.own([tmp_path / "one"], {"seeds": {}})))


SMALL = b"preset: mine\nseeds: 2\ngrid:\n  - {arch: resnet-8, norm: [batch, none], alpha: 0.1, epochs: 2}\n"
PIECES = [
    b"\xff",
    b"\t",
    b"\n",
    b"{",
    b"]",
    b"&a ",
    b"*a",
    b"!!bool ",
    b"!!timestamp ",
    b"!mine ",
    b"---\n",
    b"'",
    b": ",
    b"? ",
]
PIECES += [b"9" * 5000, b"2024-02-30", b"__use_yte__: true\n", b"pathvars: 5\n", b"?1/0", b"<<: ", b"[" * 500]


def test_what_we_can_read_snakemake_can_read_too(tmp_path):
    """It reads a file before the Snakefile, and tells of most mistakes with a traceback."""
    chance, path = random.Random(0), tmp_path / "mine.yaml"
    outcomes = {"read": 0, "refused": 0}
    for _ in range(150):
        content = bytearray(SMALL)
        for _ in range(chance.choice((1, 1, 2, 3))):
            place = chance.randrange(len(content))
            content[place : place + chance.randrange(3)] = chance.choice([*PIECES, b"", b""])
        path.write_bytes(content)
        try:
            keys = yaml_files.read(path).keys()
        except UserError as refused:
            assert str(refused).isprintable()
            outcomes["refused"] += 1
        else:
            if not yaml_files.OF_SNAKEMAKE & keys:
                load_configfile(path)
                outcomes["read"] += 1
    assert min(outcomes.values()) > 20, outcomes


def test_a_file_is_checked_without_running_anything(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text("preset: mine\n")
    cli.main(["check", str(path)])
    assert capsys.readouterr().out.startswith(f"{path}: no mistake; preset mine has 4")
    for text, message in (
        ("seed: 2\n", f"error: {path}: config key (top level): key 'seed' is unknown; "),
        ("dataset: folder\n", f"error: {path}: data_dir: "),
        ("seeds: 1\nseeds: 2\n", f"error: {path}: key 'seeds' stands twice, in lines 1 and 2; "),
    ):
        path.write_text(text)
        with pytest.raises(SystemExit):
            cli.main(["check", str(path)])
        assert capsys.readouterr().err.startswith(message)
