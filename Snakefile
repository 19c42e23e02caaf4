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


rule all:
    default_target: True
    input:
        report=f"{RESULTS}/report.html",
        claims=f"{RESULTS}/claims.json",
        figures=ITEMS,
