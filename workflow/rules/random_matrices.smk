rule random_matrices:
    """Singular values of products of Gaussian matrices."""
    output:
        values=f"{RESULTS}/{Matrices.values}",
        run=f"{RESULTS}/{Matrices.folder}/run.json",
    log:
        f"{LOGS}/{Matrices.folder}.log",
    benchmark:
        f"{LOGS}/{Matrices.folder}.benchmark.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        spec=PLAN.matrices.spec,
        out=lambda wildcards, output: Path(output.run).parent,
        code=PLAN.matrices.code,
    shell:
        "python -m understanding_bn random-matrices --spec {params.spec:q} --out {params.out} --threads {threads}"
        " 2>&1 | tee {log}"
