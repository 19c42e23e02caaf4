EVIDENCE = [job for jobs in PLAN.evidence.values() for job in jobs]


rule claims:
    """Judge every claim of the paper, and predictions of later work, on the raw values."""
    input:
        values=values(EVIDENCE),
        records=[f"{RESULTS}/{job.folder}/run.json" for job in EVIDENCE],
    output:
        claims=report(f"{RESULTS}/claims.json", caption="../report/claims.rst", category="Claims"),
        followups=report(f"{RESULTS}/followups.json", caption="../report/followups.rst", category="Claims"),
    log:
        f"{LOGS}/claims.log",
    benchmark:
        f"{LOGS}/claims.benchmark.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        inputs=listed("claims", PLAN.evidence),
        code=fingerprint.whole(["claims.judging"]),
    shell:
        "python -m understanding_bn claims --inputs {params.inputs} --out {output.claims} --followups {output.followups}"
        " 2>&1 | tee {log}"
