"""What fails while the rest goes on: one figure, one table, one claim."""

import errno
import sys
from types import ModuleType, SimpleNamespace

import pandas as pd
import pytest
from evidence import judged

from understanding_bn import cli, failures, files, fingerprint
from understanding_bn.claims import judging
from understanding_bn.claims.catalogue import CLAIMS
from understanding_bn.claims.results import NotRunError
from understanding_bn.errors import UserError
from understanding_bn.figures import nothing
from understanding_bn.report import items


def raised(error):
    """What a block that raises this becomes."""
    with pytest.raises(BaseException) as caught, failures.told("fig3"):
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("odd value\nand more"), "fig3: ValueError: odd value"),
        (ValueError(), "fig3: ValueError"),
        (KeyError("norm"), "fig3: KeyError: 'norm'"),
        (SystemExit(0), "fig3: SystemExit: 0"),
        (
            SyntaxError("invalid syntax", ("/a/fig3.py", 7, 1, "x")),
            "fig3: SyntaxError: invalid syntax (fig3.py, line 7)",
        ),
        (ValueError("x" * 1000), f"fig3: ValueError: {'x' * failures.LONGEST}"),
    ],
)
def test_what_fails_is_one_line_after_its_traceback(error, line, capsys):
    told = raised(error)
    assert isinstance(told, UserError)
    assert str(told).split(" (workflow/")[0] == line
    assert "Traceback" in capsys.readouterr().err or isinstance(error, SyntaxError)


@pytest.mark.parametrize(
    "error", [UserError("one line"), OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
def test_what_has_a_line_of_its_own_passes_as_it_is(error):
    assert raised(error) is error


def test_the_reason_names_the_packages_line_that_it_came_through(tmp_path):
    (tmp_path / "broken.json").write_bytes(b"\xff")
    with pytest.raises(UserError) as caught, failures.told("fig3"):
        try:
            files.read_json(tmp_path / "broken.json")
        except UserError as error:
            raise TypeError("odd") from error
    place = "workflow/understanding_bn/failures.py, line "
    assert str(caught.value).startswith(f"fig3: TypeError: odd ({place}")


def test_a_log_says_why_or_that_it_does_not(tmp_path):
    log = tmp_path / "figures/fig3.log"
    assert items.lost(tmp_path / "results/figures/fig3.png", tmp_path) == items.Lost(failures.SILENT, log)
    log.parent.mkdir()
    log.write_bytes(b"noise \xff\nerror: first\nTraceback\nerror: fig3: ValueError: odd\n")
    assert failures.said_in(log) == ["first", "fig3: ValueError: odd"]
    assert items.lost(tmp_path / "results/figures/fig3.png", tmp_path).reason == "ValueError: odd"


def drawing_fails(histories):
    raise ZeroDivisionError("division by zero")


def saving_fails(histories):
    class Odd:
        def savefig(self, *_, **__):
            raise ZeroDivisionError("division by zero")

    return Odd(), {"": histories, "summary": histories}


@pytest.mark.parametrize("draw", [drawing_fails, saving_fails])
def test_a_figure_that_fails_ends_with_one_line_and_leaves_no_file(draw, tmp_path, monkeypatch, capsys):
    module = ModuleType("understanding_bn.figures.made_up")
    module.__spec__ = SimpleNamespace(name=module.__name__)
    module.draw = lambda histories: (nothing.picture("drawn"), {"": histories, "summary": histories})
    monkeypatch.setitem(sys.modules, module.__name__, module)
    pd.DataFrame({"seed": [0]}).to_parquet(tmp_path / "values.parquet")
    files.write_json(tmp_path / "inputs.json", {"histories": [str(tmp_path / "values.parquet")]})
    command = ["figure", "made_up", "--inputs", str(tmp_path / "inputs.json"), "--out", str(tmp_path / "out")]
    cli.main(command)
    assert len([*(tmp_path / "out").iterdir()]) == 5
    monkeypatch.setattr(module, "draw", draw)
    with pytest.raises(SystemExit) as ended:
        cli.main(command)
    assert ended.value.code == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("error: made_up: ZeroDivisionError: division by zero (workflow/understanding_bn/figures/")
    assert [*(tmp_path / "out").iterdir()] == []


def test_a_claim_that_cannot_be_judged_leaves_the_others_judged(tmp_path, monkeypatch, capsys):
    def fails(results):
        raise ZeroDivisionError("division by zero")

    def missing(results):
        raise NotRunError("training")

    first, second, *_ = CLAIMS
    claims = [judging.replace(first, judge=fails), judging.replace(second, judge=missing)]
    monkeypatch.setattr(judging, "CLAIMS", claims)
    entries = judged(tmp_path, [])
    broken, other = entries[first.id], entries[second.id]
    assert broken["verdict"] == other["verdict"] == "not run"
    assert broken["note"] == f"could not be judged: {broken['failure']}"
    assert broken["failure"].startswith(
        "ZeroDivisionError: division by zero (workflow/understanding_bn/claims/judging.py"
    )
    assert other["note"] == "needs training"
    assert set(broken) - set(other) == {"failure"}
    assert f"error: claim {first.id} could not be judged: {broken['failure']}" in capsys.readouterr().err.splitlines()
    with pytest.raises(SystemExit) as ended:
        cli.main(["verdicts", tmp_path.name, "--results", str(tmp_path.parent)])
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: claim {first.id} {broken['note']}\n"


def test_code_that_is_not_python_counts_with_every_edit(tmp_path):
    (tmp_path / "figures").mkdir()
    codes = set()
    for text in ("def draw(", "def draw(:", "def draw(:  # a comment", "def draw(\0", "def draw(): ..."):
        (tmp_path / "figures/mine.py").write_text(text)
        codes.add(fingerprint.whole(["figures.mine"], tmp_path))
    assert len(codes) == 5
