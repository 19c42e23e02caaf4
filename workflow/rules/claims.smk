EVIDENCE = [
    *training("history.parquet"),
    *(path for probe in START["probes"] for path in measured(probe)),
    *(path for probe in CONFIG["trained"]["probes"] for path in trained(probe)),
    f"{RESULTS}/random_matrices/values.parquet",
]
RECORDS = records(EVIDENCE)


rule claims:
    """Judge every claim of the paper, and predictions of later work, on the raw values."""
    input:
        values=EVIDENCE,
        records=RECORDS,
    output:
        claims=report(f"{RESULTS}/claims.json", caption="../report/claims.rst", category="Claims"),
        later=report(f"{RESULTS}/later.json", caption="../report/later.rst", category="Claims"),
    log:
        f"logs/{CONFIG['preset']}/claims.log",
    benchmark:
        f"logs/{CONFIG['preset']}/claims.benchmark.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        inputs=listed("claims", EVIDENCE),
        roles=json.dumps(CONFIG["claims"]),
        code=fingerprint("claims.job"),
    shell:
        "python -m understanding_bn claims --inputs {params.inputs} --roles {params.roles:q} --out {output.claims}"
        " --later {output.later} 2>&1 | tee {log}"
