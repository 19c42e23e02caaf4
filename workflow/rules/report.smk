from snakemake.settings.types import DeploymentMethod

# Verdicts of the paper's scale, kept in the repository, are shown next to those of a smaller preset.
KEPT = [near(path) for path in [PROJECT / "results/reference/cifar10-init/claims.json"] if path.is_file()]


rule report:
    """One self-contained page: claims, figures and tables next to the paper's findings, provenance."""
    input:
        claims=f"{RESULTS}/claims.json",
        followups=f"{RESULTS}/followups.json",
        figures=ITEMS,
        records=RUNS,
        captions=[near(CAPTIONS / f"{item.name}.rst") for item in DRAWN],
        kept=KEPT,
        template=[
            near(PACKAGE / "understanding_bn" / "report" / part)
            for part in ("page.html", "claims.html", "page.css", "page.js")
        ],
    output:
        page=f"{RESULTS}/report.html",
    log:
        f"{LOGS}/report.log",
    benchmark:
        f"{LOGS}/report.benchmark.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        runs=f"@{RUN_LIST}",
        preset=CONFIG.preset,
        logs=LOGS,
        captions=lambda wildcards, input: Path(input.captions[0]).parent,
        kept=["--kept", *KEPT] if KEPT else [],
        code=fingerprint.whole(["report.page"]),
    shell:
        "python -m understanding_bn report --preset {params.preset} --claims {input.claims}"
        " --followups {input.followups} --items {input.figures} --logs {params.logs} --runs {params.runs}"
        " --captions {params.captions} {params.kept} --out {output.page} 2>&1 | tee {log}"


rule crate:
    """What was run, on what and when, and what came out, for archives and registries: an RO-Crate. Not part of all."""
    input:
        report=f"{RESULTS}/report.html",
        claims=[f"{RESULTS}/claims.json", f"{RESULTS}/followups.json"],
        figures=ITEMS,
        records=RUNS,
    output:
        metadata=f"{RESULTS}/ro-crate-metadata.json",
    log:
        f"{LOGS}/crate.log",
    benchmark:
        f"{LOGS}/crate.benchmark.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        runs=f"@{RUN_LIST}",
        code=fingerprint.whole(["report.crate"]),
    shell:
        "python -m understanding_bn crate --report {input.report} --claims {input.claims} --items {input.figures}"
        " --runs {params.runs} 2>&1 | tee {log}"


def lost_items():
    """The report's job and the figures and tables that failed, where these alone keep it from being built."""
    for job in workflow.dag.needrun_jobs():
        if f"{RESULTS}/report.html" in map(str, job.output):
            failed = {str(path) for each in workflow.scheduler.failed for path in each.output} & set(ITEMS)
            if failed and all(path in failed or Path(path).exists() for path in map(str, job.input)):
                return job, [path for path in ITEMS if path in failed]
    return None, []


# Snakemake builds no report without all of its inputs. The report of the others stands outside of its accounts: what
# failed is still missing, so that the next start draws it, and then this page anew.
onerror:
    job, lost = lost_items()
    if job:
        try:
            conda = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method and job.conda_env
            shell("{command}", command=job.shellcmd, conda_env=conda.address if conda else None)
        except subprocess.CalledProcessError:
            logger.error("\n".join(["The report could not be built:", *failures.said_in(Path(str(job.log[0])))]))
        else:
            names = [f"{Path(path).stem} ({LOGS}/{Path(path).parent.name}/{Path(path).stem}.log)" for path in lost]
            logger.error(f"Not drawn: {', '.join(names)}.\nAll else is in the report: {job.output[0]}")


# What goes on without some of its parts names them in its log, so that the run does not end as if all were well.
onsuccess:
    done = [job for job in workflow.dag.jobs if job.rule.name.endswith(("claims", "report", "rebuild")) and job.log]
    said = [line for job in done for line in failures.said_in(Path(str(job.log[0])))]
    if said:
        sys.exit("\n".join(f"error: {line}" for line in said))


# As with `onstart` in common.smk.
if not workflow.modifier.is_main_snakefile():
    workflow._onerror = both(workflow._onerror, lambda log: onerror())
    workflow._onsuccess = both(workflow._onsuccess, lambda log: onsuccess())
