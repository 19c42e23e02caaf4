"""`snakemake --dry-run`, again and again in one process: `python planner.py`, in a checkout.

Each line of standard input is a list of arguments as JSON. Each is answered with a line: the exit status, the number of
jobs of each rule (empty if it failed), and all that Snakemake said.
"""

import json
import os
import sys
import tempfile
from typing import Any

from snakemake.cli import args_to_api, parse_args, print_exception


def planned(text):
    """The table under 'Job stats:' in Snakemake's output, as a dict; empty if there is none."""
    if "Job stats:" not in text:
        return {}
    lines = text.rsplit("Job stats:", 1)[1].splitlines()[3:]
    jobs = {}
    for line in lines:
        parts = line.split()
        if len(parts) != 2 or parts[0] == "total":
            break
        jobs[parts[0]] = int(parts[1])
    return jobs


def answer(arguments: list[str]) -> dict[str, Any]:
    """What the command line answers; Snakemake's own output goes to a file meanwhile."""
    with tempfile.TemporaryFile("w+") as said:
        before = sys.stdout, sys.stderr
        sys.stdout = sys.stderr = said
        try:
            status = _status(arguments)
        finally:
            sys.stdout, sys.stderr = before
        said.seek(0)
        text = said.read()
    return {"status": status, "jobs": planned(text) if status == 0 else {}, "said": text}


def _status(arguments: list[str]) -> int:
    """Snakemake's exit status, as its `main` makes it."""
    try:
        parser, args = parse_args(arguments)
        return 0 if args_to_api(args, parser) else 1
    except SystemExit as end:  # the Snakefile found a mistake
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else 1
    except Exception as error:
        print_exception(error)
        return 1


def main() -> None:
    """Answer every line of standard input with one on what was standard output; all else goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
