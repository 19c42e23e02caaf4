"""What a run shows: a line a job, one live line, and what a reader needs where something fails."""

import io
import json
import logging
import re

import pytest

from understanding_bn import terminal
from understanding_bn.terminal import Brief, Pace

TRAIN, FIGURE = "quick/train/resnet-8/norm-batch", "quick/figures/fig1_accuracy"


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self):
        return True

    @property
    def lines(self):
        """What stands on the screen: a line that is cleared is gone."""
        return [line.rsplit("\r\x1b[K", 1)[-1] for line in self.getvalue().split("\n")]


class Run:
    """A run that is shown, with a clock of its own."""

    def __init__(self, out, kept=None, waiting=(TRAIN, FIGURE)):
        self.out, self.time = out, 0.0
        self.brief = Brief(out, lambda: self.time, Pace(set(waiting), kept or {}))

    def log(self, message, level=logging.INFO, **fields):
        record = logging.LogRecord("snakemake", level, "", 0, message, None, None)
        vars(record).update(fields)
        self.brief.take(record)

    def start(self, number, name):
        self.log("", event="job_info", jobid=number, log=[f"logs/{name}.log"], rule_name="rule")

    def end(self, number):
        self.log("Finished jobid: …", event="job_finished", job_id=number)


def test_in_a_log_there_is_one_line_for_each_job(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Run(io.StringIO())
    run.log("Using shell: /bin/bash")
    run.log("Job stats:", event="run_info", stats={"train": 1, "fig1": 1, "total": 2})
    run.log("Provided cores: 2", event="resources_info", cores=2)
    run.start(1, TRAIN)
    run.log("python …" * 2000, event="shellcmd")
    run.time = 65.0
    run.end(1)
    run.log("1 of 2 steps (50%) done", event="progress", done=1, total=2)
    run.start(2, FIGURE)
    run.time = 69.0
    run.end(2)
    run.brief.close()
    assert run.out.getvalue() == f"1 of 2  {TRAIN}  1 min 5 s\n2 of 2  {FIGURE}  4 s\n"


def test_in_a_terminal_the_last_line_lives(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    run = Run(Screen(), kept={TRAIN: 100.0, FIGURE: 10.0})
    run.log("", event="run_info", stats={"total": 2})
    run.start(1, TRAIN)
    run.time = 20.0
    run.brief.refresh()
    assert run.out.lines == ["0 of 2 jobs · about 1 min 30 s left · train/resnet-8/norm-batch"]
    beat = terminal.beat_of(tmp_path / "results" / TRAIN)
    beat.parent.mkdir(parents=True)
    beat.write_text(json.dumps({"line": "resnet-8 batch: 3/4 epochs, 5 s left"}))
    run.brief.refresh()
    assert run.out.lines == ["0 of 2 jobs · about 1 min 30 s left · resnet-8 batch: 3/4 epochs, 5 s left"]
    run.time = 50.0
    run.end(1)
    run.start(2, FIGURE)
    assert run.out.lines == [f"1 of 2  {TRAIN}  50 s", "1 of 2 jobs · about 5 s left · figures/fig1_accuracy"]
    run.brief.close()
    assert run.out.lines == [f"1 of 2  {TRAIN}  50 s", ""]


def test_the_live_line_is_cut_to_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    run = Run(Screen())
    run.start(1, TRAIN)
    assert len(run.out.lines[-1]) == 29


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("error: no such file\n", ["error: no such file"]),
        ("epoch 1\nTraceback …\nerror: one\n", ["error: one"]),
        ("\n".join(map(str, range(40))), [str(line) for line in range(25, 40)]),
        ("", ["it wrote nothing to its log"]),
        (None, ["it wrote nothing to its log"]),
    ],
)
def test_a_job_that_fails_shows_why_and_where_to_look(tmp_path, text, shown):
    run = Run(io.StringIO())
    run.start(1, TRAIN)
    log = tmp_path / "job.log"
    if text is not None:
        log.write_text(text)
    run.log("", logging.ERROR, event="job_error", jobid=1, log=[str(log)], rule_name="train")
    said = run.out.getvalue().splitlines()
    assert said[0] == f"failed: {TRAIN}"
    assert said[1:-1] == [f"    {line}" for line in shown]
    assert said[-1].endswith(str(log))
    assert not run.brief.running


def test_what_snakemake_says_of_itself_is_left_out_and_the_rest_is_not():
    run = Run(io.StringIO())
    for message in ("Building DAG of jobs...", "Select jobs to execute...", "Complete log(s): /x", "host: y", None, ""):
        run.log(message)
    assert run.out.getvalue() == ""
    run.log(
        "RuleException:\nCalledProcessError in file …:\nCommand 'set -euo …' returned …", logging.ERROR, event="error"
    )
    assert run.out.getvalue() == "", "the job that failed has lines of its own"
    run.log("Nothing to be done (all requested files are present and up to date).")
    run.log("Building DAG of jobs failed", logging.WARNING)
    run.log("IncompleteFilesException: …", logging.ERROR, event="error")
    run.log("Will exit after finishing currently running jobs (scheduler).")
    assert len(run.out.getvalue().splitlines()) == 4


def test_where_a_killed_run_left_its_lock_the_last_line_says_what_to_type():
    run = Run(io.StringIO())
    run.log("LockException:\nError: Directory cannot be locked. …", logging.ERROR, event="error")
    assert "make unlock" in run.out.getvalue().splitlines()[-1]


def test_the_time_left_follows_the_record_scaled_to_this_machine_and_else_the_mean_of_its_kind():
    pace = Pace({"p/train/a", "p/train/b", "p/figures/x", "p/figures/y"}, {"p/train/a": 10, "p/train/b": 30}, cores=1)
    pace.end("p/train/a", 20)  # twice as slow as in the record
    assert pace.left({}) == 60 + 2 * 20  # figures: the mean of all so far
    pace.end("p/figures/x", 4)
    assert pace.left({}) == 60 + 4
    assert pace.left({"p/train/b": 50}) == 10 + 4
    assert pace.left({"p/train/b": 500}) == 4
    pace.cores = 2
    assert pace.left({}) == 60  # no sooner than the longest job
    assert Pace({"p/train/a"}).left({}) is None


def test_jobs_of_the_kept_record_are_known_by_the_names_of_their_logs(tmp_path, monkeypatch):
    monkeypatch.setattr(terminal, "_pace", Pace(set()))
    (tmp_path / "quick").mkdir()
    runs = {place: {"wall_seconds": 3.0} for place in ("train/resnet-8", "train/resnet-14")}
    (tmp_path / "quick/provenance.json").write_text(json.dumps({"runs": runs}))
    terminal.foresee(["logs/quick/train/resnet-8.log", "logs/quick/report.log"], "quick", tmp_path)
    assert terminal._pace.waiting == {"quick/train/resnet-8", "quick/report"}
    assert terminal._pace.kept == {"quick/train/resnet-8": 3.0}
    terminal.foresee(["logs/mine/report.log"], "mine", tmp_path)
    assert (terminal._pace.waiting, terminal._pace.kept) == ({"mine/report"}, {})


def test_no_line_is_longer_than_its_job_needs():
    """Shell commands of thousands of characters are in Snakemake's own log."""
    run = Run(io.StringIO())
    run.start(1, TRAIN)
    run.end(1)
    assert max(map(len, re.split("\n", run.out.getvalue()))) < 80
