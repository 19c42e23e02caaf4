# What is done when a run has ended, and not all went well.
from snakemake.settings.types import DeploymentMethod


def lost_items():
    """The report's job and the figures and tables that failed, where these alone keep it from being built."""
    for job in workflow.dag.needrun_jobs():
        if f"{RESULTS}/report.html" in map(str, job.output):
            failed = {str(path) for each in workflow.scheduler.failed for path in each.output} & set(ITEMS)
            if failed and all(path in failed or Path(path).exists() for path in map(str, job.input)):
                return job, [path for path in ITEMS if path in failed]
    return None, []


def said_by_the_last():
    """What those jobs could not do that go on without some of their parts."""
    jobs = [job for job in workflow.dag.jobs if job.rule.name.endswith(("claims", "report", "rebuild"))]
    return [line for job in jobs for line in failures.said_in(Path(str(job.log[0])))]


# Snakemake builds no report without all of its inputs. The report of the others stands outside of its accounts: what
# failed is still missing, so that the next start draws it, and then this page anew.
onerror:
    forget_recorded()
    job, lost = lost_items()
    if job:
        page = Path(str(job.output[0]))
        page.unlink(missing_ok=True)
        conda = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method and job.conda_env
        shell("{command} || true", command=job.shellcmd, conda_env=conda.address if conda else None)
        names = [f"{Path(path).stem} ({LOGS}/{Path(path).parent.name}/{Path(path).stem}.log)" for path in lost]
        ending = "All else is in the report" if page.exists() else "The report could not be built"
        logger.error("\n".join([f"Not drawn: {', '.join(names)}.", *said_by_the_last(), f"{ending}: {page}"]))


def not_made():
    """What was asked for and is not there.

    Where a rule runs again, Snakemake passes over jobs that have its output as an `ancient` input, even those that lack
    their results; the run then ends without them.
    """
    if workflow.dag_settings.until or workflow.dag_settings.omit_from:
        return []
    wanted = (path for job in workflow.dag.targetjobs for path in map(str, job.output or job.input))
    return [path for path in wanted if not Path(path).exists()]


# What goes on without some of its parts names them in its log, so that the run does not end as if all were well.
onsuccess:
    forget_recorded()
    if lacking := not_made():
        sys.exit(f"error: {lacking[0]}: not made yet; start Snakemake again with the same command")
    if said := said_by_the_last():
        sys.exit("\n".join(f"error: {line}" for line in said))


# As with `onstart` in common.smk.
if not workflow.modifier.is_main_snakefile():
    workflow._onerror = both(workflow._onerror, lambda log: onerror())
    workflow._onsuccess = both(workflow._onsuccess, lambda log: onsuccess())
