"""Understanding Batch Normalization, checked: data → training → analysis → figures → claims → report."""

from snakemake.utils import min_version

min_version("9.20")


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/initialization.smk"
include: "workflow/rules/trained.smk"
include: "workflow/rules/random_matrices.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/reference.smk"
include: "workflow/rules/ending.smk"


# The default target, because it is the first rule that is not included. A workflow that uses this one as a module keeps
# its own.
rule all:
    input:
        report=f"{RESULTS}/report.html",
        claims=f"{RESULTS}/claims.json",
        figures=ITEMS,


include: "workflow/rules/targets.smk"
