rule random_matrices:
    """Singular values of products of Gaussian matrices."""
    output:
        values=f"{RESULTS}/random_matrices/values.parquet",
        run=f"{RESULTS}/random_matrices/run.json",
    log:
        f"logs/{CONFIG['preset']}/random_matrices.log",
    benchmark:
        f"logs/{CONFIG['preset']}/random_matrices.benchmark.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        size=CONFIG["random_matrices"]["size"],
        factors=CONFIG["random_matrices"]["factors"],
        draws=CONFIG["random_matrices"]["draws"],
        out=lambda wildcards, output: Path(output.run).parent,
        code=fingerprint("analysis.random_matrices"),
    shell:
        "python -m understanding_bn random-matrices --size {params.size} --factors {params.factors}"
        " --draws {params.draws} --out {params.out} --threads {threads} 2>&1 | tee {log}"
