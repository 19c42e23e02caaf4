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
