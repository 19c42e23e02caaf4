rule train:
    """Train one cell of the grid for a block of seeds. Goes on from its last checkpoint if it was interrupted."""
    input:
        store=ancient(STORE),
    output:
        history=f"{TRAIN_PATTERN}/history.parquet",
        weights=f"{TRAIN_PATTERN}/weights.pt",
        run=f"{TRAIN_PATTERN}/run.json",
    log:
        f"logs/{CONFIG['preset']}/{layout.TRAIN}.log",
    benchmark:
        f"logs/{CONFIG['preset']}/{layout.TRAIN}.benchmark.tsv"
    priority: 10  # the longest jobs first, so that none is left for the end
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: job_memory(wildcards.arch, int(wildcards.batch_size), attempt),
        runtime=training_minutes,
        gpu=LOCAL_GPU,
    params:
        sgd=SGD,
        milestones=CONFIG["schedule"]["milestones"],
        snapshots=CONFIG["snapshots"],
        seeds=lambda wildcards: wildcards.seeds.replace("-", " "),
        out=lambda wildcards, output: Path(output.run).parent,
        state=STATE,
        code=lambda wildcards: own_code(wildcards, "training.job"),
    shell:
        "python -m understanding_bn train --store {input.store} --arch {wildcards.arch} --init {wildcards.init}"
        " --norm {wildcards.norm} --alpha {wildcards.alpha} --batch-size {wildcards.batch_size}"
        " --epochs {wildcards.epochs} --milestones {params.milestones} --snapshots {params.snapshots} {params.sgd}"
        " --seeds {params.seeds} --out {params.out} --state {params.state}"
        " --threads {threads} 2>&1 | tee {log}"
