"""Plans one config after another in one process: `python planner.py CHECKOUT`, a config as JSON on each line.

Answers each with a line: the number of jobs of each rule, as JSON, or the message that Snakemake ended with.
"""

import json
import os
import sys
from collections import Counter
from pathlib import Path

import yaml
from snakemake.api import SnakemakeApi
from snakemake.settings.types import DAGSettings, OutputSettings, Quietness, ResourceSettings


def plan(folder: Path, config: dict) -> dict[str, int]:
    """The number of jobs of each rule that a dry run in a checkout plans with this config."""
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with SnakemakeApi(OutputSettings(dryrun=True, quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=2), snakefile=folder / "Snakefile", workdir=folder
        )
        workflow.dag(DAGSettings()).execute_workflow(executor="dryrun")
        return dict(Counter(job.rule.name for job in workflow._workflow.dag.jobs))


def main() -> None:
    """Answer every line of standard input with one on what was standard output; all else goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    folder = Path(sys.argv[1])
    for line in sys.stdin:
        try:
            answer = {"jobs": plan(folder, json.loads(line))}
        except (Exception, SystemExit) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
