# A target that this preset can't make ends the run before any job, with one line and the nearest name.
import contextlib
import io

from snakemake import cli

from understanding_bn.experiment import targets


def asked_for():
    """The targets on the command line. Snakemake has read them by now, but does not say so before its own message."""
    if Path(sys.argv[0]).name not in ("snakemake", "__main__.py") or not workflow.is_main_process:
        return []
    with contextlib.redirect_stderr(io.StringIO()):  # it names its profile each time
        return sorted(cli.parse_args(None)[1].targets or ())


def is_made(path):
    """Whether this file can be made: of jobs, whether the plan has that job."""
    makers = [made for made in workflow.rules if made.is_producer(path)]
    folder = Path(path).parent.as_posix().removeprefix(f"{RESULTS}/")
    return any(not made.has_wildcards() or folder in JOBS or "kept" in made.wildcard_names for made in makers)


if workflow.modifier.is_main_snakefile():
    drawn = [item.short or item.name for item in DRAWN]
    undrawn = [name for item in PLAN.items if item not in DRAWN for name in (item.name, item.short)]
    long = [item.name for item in DRAWN if item.short]
    others = [made.name for made in workflow.rules if not made.has_wildcards() and made.name not in (*drawn, *long)]
    known = [*ITEMS, f"{RESULTS}/report.html", f"{RESULTS}/claims.json", f"{RESULTS}/followups.json"]
    for target in set(asked_for()) - set(long):
        if wrong := targets.mistake(target, CONFIG.preset, drawn, undrawn, others, known, is_made):
            sys.exit(f"error: {wrong}")
