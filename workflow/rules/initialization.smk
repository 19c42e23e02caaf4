rule initialization:
    """Measure one thing at initialisation or in the first steps, for one norm and all seeds. Trains nothing."""
    input:
        store=ancient(STORE),
    output:
        values=f"{START_PATTERN}/values.parquet",
        run=f"{START_PATTERN}/run.json",
    log:
        f"logs/{CONFIG['preset']}/{layout.MEASURED}.log",
    benchmark:
        f"logs/{CONFIG['preset']}/{layout.MEASURED}.benchmark.tsv"
    # On a cluster several share a job where each takes seconds, less than it takes to start one.
    group:
        "measurements" if EMBEDDED else None
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: job_memory(wildcards.arch, START["batch_size"], attempt),
        runtime=measuring_minutes,
    params:
        sgd=SGD,
        batch_size=START["batch_size"],
        options=lambda wildcards: json.dumps(grid.options(CONFIG, wildcards.probe)),
        seeds=CONFIG["seeds"],
        out=lambda wildcards, output: Path(output.run).parent,
        code=lambda wildcards: own_code(wildcards, "analysis.job", f"analysis.{wildcards.probe}"),
    shell:
        "python -m understanding_bn initialization {wildcards.probe} --store {input.store} --arch {wildcards.arch}"
        " --init {wildcards.init} --norm {wildcards.norm} --batch-size {params.batch_size} {params.sgd}"
        " --options {params.options:q} --seeds {params.seeds} --out {params.out} --threads {threads} 2>&1 | tee {log}"
