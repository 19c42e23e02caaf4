rule data:
    """Read a data set once and keep it ready: uint8 images, labels, split, statistics, source and checksums."""
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
        # Neither a parameter nor the names of input files: data are known by their tag, which is in the store's name. The
        # same files in another folder, or copied again with other dates, are prepared once.
        spec=PLAN.prepare.spec,
    shell:
        "python -m understanding_bn data --spec {resources.spec:q} --out {output.store} 2>&1 | tee {log}"
