rule train:
    """Train one cell of the grid for a block of seeds. Goes on from its last checkpoint if it was interrupted."""
    input:
        store=ancient(STORE),
    output:
        history=f"{RESULTS}/{Train.PATTERN}/history.parquet",
        weights=f"{RESULTS}/{Train.PATTERN}/weights.pt",
        run=f"{RESULTS}/{Train.PATTERN}/run.json",
    log:
        f"{LOGS}/{Train.PATTERN}.log",
    benchmark:
        f"{LOGS}/{Train.PATTERN}.benchmark.tsv"
    priority: 10  # the longest jobs first, so that none is left for the end
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: job_memory(wildcards.arch, int(wildcards.batch_size), attempt),
        runtime=training_minutes,
        gpu=LOCAL_GPU,
        # No parameter of the rule, for runs do not depend on it.
        lanes=CONFIG.lanes or 0,
    params:
        spec=spec(Train.PATTERN),
        out=lambda wildcards, output: Path(output.run).parent,
        state=STATE,
        code=code(Train.PATTERN),
    shell:
        "python -m understanding_bn train --spec {params.spec:q} --store {input.store} --out {params.out}"
        " --state {params.state} --threads {threads} --lanes {resources.lanes} 2>&1 | tee {log}"


# Breadth-first: every curve gets its first seeds before any gets more.
AHEAD = sorted(PLAN.train, key=lambda job: job.seeds)


rule ahead:
    """Train all cells in one process, many runs side by side on one GPU; `train` then takes the results. Not part of all."""
    input:
        store=ancient(STORE),
    log:
        f"{LOGS}/ahead.log",
    priority: 10
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        gpu=LOCAL_GPU,
        lanes=CONFIG.lanes or 0,
    params:
        jobs=f"{RESULTS}/inputs/ahead.json",
        state=STATE,
    shell:
        "python -m understanding_bn train-ahead --jobs {params.jobs} --store {input.store} --state {params.state}"
        " --threads {threads} --lanes {resources.lanes} 2>&1 | tee {log}"
