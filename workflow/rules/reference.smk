# Presets whose raw values are kept in the repository.
REBUILT = sorted(path.parent.name for path in Path("results/reference").glob("*/raw.json"))


rule rebuild:
    """Figures, claims and report of a kept preset, from its records alone."""
    input:
        index="results/reference/{kept}/raw.json",
        provenance="results/reference/{kept}/provenance.json",
        claims=KEPT,
    output:
        page="results/rebuilt/{kept}/report.html",
    log:
        "logs/rebuilt/{kept}.log",
    benchmark:
        "logs/rebuilt/{kept}.benchmark.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        record=lambda wildcards, input: Path(input.index).parent,
        captions="workflow/report",
        kept=["--kept", *KEPT] if KEPT else [],
        out=lambda wildcards, output: Path(output.page).parent,
        code=[fingerprint(f"figures.{name}") for name in FIGURES | TABLES] + [fingerprint("report.rebuild")],
    shell:
        "python -m understanding_bn rebuild {params.record} --captions {params.captions} {params.kept} --out {params.out}"
        " 2>&1 | tee {log}"


rule reference:
    """The same for every preset that has records: what others found, redrawn here without data, within two minutes."""
    input:
        [f"results/rebuilt/{kept}/report.html" for kept in REBUILT],
    localrule: True
