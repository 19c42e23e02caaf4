rule trained:
    """Make one measurement on the networks that a training job left: curvature, gradient noise. Trains nothing."""
    input:
        store=ancient(STORE),
        weights=f"{RESULTS}/{Train.PATTERN}/weights.pt",
        history=f"{RESULTS}/{Train.PATTERN}/history.parquet",
    output:
        values=f"{RESULTS}/{Measure.TRAINED}/values.parquet",
        run=f"{RESULTS}/{Measure.TRAINED}/run.json",
    log:
        f"{LOGS}/{Measure.TRAINED}.log",
    benchmark:
        f"{LOGS}/{Measure.TRAINED}.benchmark.tsv"
    # On a cluster, measurements that take only seconds share a job: starting one takes longer.
    group:
        "measurements" if EMBEDDED else None
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2 * job_memory(wildcards.arch, int(wildcards.batch_size), attempt),
        runtime=lambda wildcards, attempt: (20 if EMBEDDED else 240) * attempt,
        gpu=0 if EMBEDDED else LOCAL_GPU,
    params:
        spec=spec(Measure.TRAINED),
        out=lambda wildcards, output: Path(output.run).parent,
        code=code(Measure.TRAINED),
    shell:
        "python -m understanding_bn measure --spec {params.spec:q} --store {input.store} --weights {input.weights}"
        " --out {params.out} --threads {threads} 2>&1 | tee {log}"
