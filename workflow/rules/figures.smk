# understanding_bn/experiment/plan.py says what each figure and table is drawn from.
DRAWN = {item: inputs for item, inputs in PLAN.items.items() if inputs}
ITEMS = [f"{RESULTS}/{item.shown}" for item in DRAWN]
# The files of a figure and of a table. Snakemake's own report shows the last one.
SUFFIXES = {"figures": ("pdf", "svg", "csv", "png"), "tables": ("md", "csv")}


def outputs(item):
    """The files of a figure or table; Snakemake's own report shows the last one."""
    paths = {suffix: f"{RESULTS}/{item.kind}/{item.name}.{suffix}" for suffix in SUFFIXES[item.kind]}
    last = SUFFIXES[item.kind][-1]
    about = {"category": item.kind.title(), "labels": {item.kind.removesuffix("s"): item.name}}
    return paths | {last: report(paths[last], caption=f"../report/{item.name}.rst", **about)}


for item, inputs in DRAWN.items():

    rule:
        name:
            item.name
        input:
            values=[path for jobs in inputs.values() for path in values(jobs)],
            # Any edit of its own module draws a figure again; code shared with others counts by fingerprint, below.
            module=near(PACKAGE / "understanding_bn" / "figures" / f"{item.name}.py"),
        output:
            **outputs(item),
        log:
            f"{LOGS}/{item.kind}/{item.name}.log",
        benchmark:
            f"{LOGS}/{item.kind}/{item.name}.benchmark.tsv"
        localrule: True
        conda:
            ENVIRONMENT
        params:
            name=item.name,
            inputs=listed(item.name, inputs),
            out=lambda wildcards, output: Path(output.csv).parent,
            code=item.code,
        shell:
            "python -m understanding_bn figure {params.name} --inputs {params.inputs} --out {params.out} 2>&1 | tee {log}"


# Short targets: `snakemake fig3` for fig3_relative_loss. Rules in targets.smk refuse one that has no data.
for item in filter(lambda item: item.short, DRAWN):

    rule:
        name:
            item.short
        input:
            f"{RESULTS}/{item.shown}",
        localrule: True
