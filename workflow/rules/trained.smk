rule trained:
    """Measure one thing on the networks that a training job left: curvature, gradient noise. Trains nothing."""
    input:
        store=ancient(STORE),
        weights=f"{TRAIN_PATTERN}/weights.pt",
        history=f"{TRAIN_PATTERN}/history.parquet",
    output:
        values=f"{TRAINED_PATTERN}/values.parquet",
        run=f"{TRAINED_PATTERN}/run.json",
    log:
        f"logs/{CONFIG['preset']}/{layout.TRAINED}.log",
    benchmark:
        f"logs/{CONFIG['preset']}/{layout.TRAINED}.benchmark.tsv"
    # On a cluster several share a job where each takes seconds, less than it takes to start one.
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
        sgd=SGD,
        seeds=lambda wildcards: wildcards.seeds.replace("-", " "),
        at=lambda wildcards: MOMENTS[wildcards.probe][Cell.of(wildcards)],
        options=lambda wildcards: json.dumps(grid.trained_options(CONFIG, wildcards.probe)),
        out=lambda wildcards, output: Path(output.run).parent,
        code=lambda wildcards: own_code(wildcards, "analysis.job", f"analysis.{wildcards.probe}"),
    shell:
        "python -m understanding_bn trained {wildcards.probe} --store {input.store} --weights {input.weights}"
        " --arch {wildcards.arch} --init {wildcards.init} --norm {wildcards.norm} --alpha {wildcards.alpha}"
        " --batch-size {wildcards.batch_size} --epochs {wildcards.epochs} {params.sgd} --at {params.at}"
        " --options {params.options:q} --seeds {params.seeds} --out {params.out} --threads {threads} 2>&1 | tee {log}"
