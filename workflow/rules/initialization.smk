rule initialization:
    """Make one measurement at initialisation or in the first steps, for one norm and all seeds. Trains nothing."""
    input:
        store=ancient(STORE),
    output:
        values=f"{RESULTS}/{Measure.INITIAL}/values.parquet",
        run=f"{RESULTS}/{Measure.INITIAL}/run.json",
    log:
        f"{LOGS}/{Measure.INITIAL}.log",
    benchmark:
        f"{LOGS}/{Measure.INITIAL}.benchmark.tsv"
    # On a cluster, measurements that take only seconds share a job: starting one takes longer.
    group:
        "measurements" if EMBEDDED else None
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: job_memory(wildcards.arch, CONFIG.initialization.batch_size, attempt),
        runtime=measuring_minutes,
    params:
        spec=spec(Measure.INITIAL),
        out=lambda wildcards, output: Path(output.run).parent,
        code=code(Measure.INITIAL),
    shell:
        "python -m understanding_bn measure --spec {params.spec:q} --store {input.store} --out {params.out}"
        " --threads {threads} 2>&1 | tee {log}"
