rule data:
    """Read a data set once and keep it ready: uint8 images, labels, split, statistics, source and checksums."""
    input:
        # Known by its tag, which is in the store's name: the same files copied again, with other dates, rerun nothing.
        files=[ancient(str(file)) for file in sources.find(CONFIG.dataset, DATA_DIR)],
    output:
        store=STORE,
    log:
        f"logs/data/{DATA_TAG}.log",
    benchmark:
        f"logs/data/{DATA_TAG}.benchmark.tsv"
    localrule: True  # where Snakemake runs: a cluster's nodes may not reach the internet
    conda:
        ENVIRONMENT
    resources:
        mem_mb=lambda wildcards, attempt: 2500 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        spec=PLAN.prepare.spec,
        code=PLAN.prepare.code,
    shell:
        "python -m understanding_bn data --spec {params.spec:q} --out {output.store} 2>&1 | tee {log}"
