"""Five plain sentences about the paper's argument, from judged claims."""

import json

import pytest

from understanding_bn.claims import story
from understanding_bn.claims.checks import INCONCLUSIVE, NOT_RUN, OPPOSITE, PRECONDITION, REFUTED, REPRODUCED
from understanding_bn.cli import main


def judged(verdicts, direction=""):
    """All twenty claims: those named have their verdict, the others were not run."""
    claims = [{"id": number, "verdict": verdicts.get(number, NOT_RUN), "direction": ""} for number in range(1, 21)]
    return [claim | {"direction": direction if claim["id"] in verdicts else ""} for claim in claims]


def test_every_claim_has_its_step():
    steps = [number for step in story.STEPS for number in step.claims]
    assert sorted(steps) == list(range(1, 21))
    assert len(story.sentences(judged({}))) == 5


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [
        ({}, story.UNTESTED),
        ({1: PRECONDITION, 2: PRECONDITION}, story.CANNOT_TELL),
        ({1: INCONCLUSIVE}, story.CANNOT_TELL),
        ({1: REPRODUCED, 2: REPRODUCED, 3: INCONCLUSIVE}, story.HOLDS),
        ({1: REPRODUCED, 2: REFUTED}, story.IN_PART),
        ({1: REPRODUCED, 2: OPPOSITE}, story.IN_PART),
        ({1: OPPOSITE, 2: REFUTED, 3: INCONCLUSIVE}, story.TURNED),
        ({1: REFUTED, 2: INCONCLUSIVE}, story.FAILS),
    ],
)
def test_a_step_is_what_its_claims_say_together(verdicts, status):
    first, *others = story.findings(judged(verdicts))
    assert first.status == status
    assert {other.status for other in others} == {story.UNTESTED}
    for verdict in set(verdicts.values()):
        assert f"{list(verdicts.values()).count(verdict)} {verdict}" in first.counts


def test_where_a_preset_cannot_tell_the_kept_record_speaks():
    ours, kept = judged({6: PRECONDITION, 18: REPRODUCED}, "as claimed"), judged({6: REPRODUCED, 18: OPPOSITE})
    _, accuracy, noise, _, matrices = story.sentences(ours, kept)
    assert accuracy.endswith(": untested (of 6 claims 6 not run).")
    assert (
        "cannot be told at this scale (claim 6: precondition not met; 1 undecided one is beyond chance in the paper's"
        in noise
    )
    assert noise.endswith("; at the paper's scale, in the kept record: holds (claim 6: reproduced).")
    assert matrices.endswith(": holds (claim 18: reproduced).")


def test_of_several_records_each_claim_is_taken_from_the_one_that_says_most():
    first = judged({1: INCONCLUSIVE, 2: REPRODUCED, 3: PRECONDITION})
    second = judged({1: REFUTED, 2: REFUTED, 3: INCONCLUSIVE, 4: PRECONDITION})
    assert [claim["verdict"] for claim in story.best([first, second])[:5]] == [
        REFUTED,
        REPRODUCED,
        INCONCLUSIVE,
        PRECONDITION,
        NOT_RUN,
    ]


def test_the_command_prints_them_and_names_the_report(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/claims.json").write_text(json.dumps(judged({18: REPRODUCED})))
    (tmp_path / "mine/followups.json").write_text("[]")
    main(["verdicts", "mine", "--results", str(tmp_path), "--kept", str(tmp_path / "none.json")])
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith(story.ARGUMENT)
    assert "theory says: holds (claim 18: reproduced)." in said
    assert f"Every verdict, figure and table: {tmp_path / 'mine/report.html'}" in said
