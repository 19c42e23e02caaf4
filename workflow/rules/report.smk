RUNS = records([*EVIDENCE, *READ])
# Verdicts of the paper's scale, kept in the repository, stand beside those of a smaller preset.
KEPT = [path for path in ["results/reference/cifar10-init/claims.json"] if Path(path).is_file()]


rule report:
    """One self-contained page: claims, figures and tables beside what the paper saw, provenance."""
    input:
        claims=f"{RESULTS}/claims.json",
        later=f"{RESULTS}/later.json",
        figures=ITEMS,
        records=RUNS,
        captions=[f"workflow/report/{Path(item).stem}.rst" for item in ITEMS],
        kept=KEPT,
        template=[
            f"workflow/understanding_bn/report/{part}" for part in ("page.html", "claims.html", "page.css", "page.js")
        ],
    output:
        page=f"{RESULTS}/report.html",
    log:
        f"logs/{CONFIG['preset']}/report.log",
    benchmark:
        f"logs/{CONFIG['preset']}/report.benchmark.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        runs=listed("report", RUNS),
        preset=CONFIG["preset"],
        captions=lambda wildcards, input: Path(input.captions[0]).parent,
        kept=["--kept", *KEPT] if KEPT else [],
        code=fingerprint("report.job"),
    shell:
        "python -m understanding_bn report --preset {params.preset} --claims {input.claims} --later {input.later} --items {input.figures}"
        " --runs {params.runs} --captions {params.captions} {params.kept} --out {output.page} 2>&1 | tee {log}"


rule crate:
    """What was run, on what and when, and what came out, for archives and registries: an RO-Crate. Not part of all."""
    input:
        report=f"{RESULTS}/report.html",
        claims=[f"{RESULTS}/claims.json", f"{RESULTS}/later.json"],
        figures=ITEMS,
        records=RUNS,
    output:
        metadata=f"{RESULTS}/ro-crate-metadata.json",
    log:
        f"logs/{CONFIG['preset']}/crate.log",
    benchmark:
        f"logs/{CONFIG['preset']}/crate.benchmark.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        runs=listed("report", RUNS),
        code=fingerprint("report.crate"),
    shell:
        "python -m understanding_bn crate --report {input.report} --claims {input.claims} --items {input.figures}"
        " --runs {params.runs} 2>&1 | tee {log}"
