# Presets whose raw values are kept in the repository.
REFERENCE = PROJECT / "results" / "reference"
REBUILT = sorted(path.parent.name for path in REFERENCE.glob("*/raw"))


rule rebuild:
    """Figures, claims and report of a kept preset, from its records alone."""
    input:
        config=near(REFERENCE / "{kept}" / "config.json"),
        provenance=near(REFERENCE / "{kept}" / "provenance.json"),
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
        record=lambda wildcards, input: Path(input.config).parent,
        captions=near(CAPTIONS),
        kept=["--kept", *KEPT] if KEPT else [],
        out=lambda wildcards, output: Path(output.page).parent,
        code=lambda wildcards: [item.code for item in PLAN.items] + [fingerprint.whole(["report.rebuild"])],
    shell:
        "python -m understanding_bn rebuild {params.record} --captions {params.captions} {params.kept} --out {params.out}"
        " 2>&1 | tee {log}"


rule reference:
    """The same for every preset that has records: published results, redrawn without data, within two minutes."""
    input:
        [f"results/rebuilt/{kept}/report.html" for kept in REBUILT],
    localrule: True
