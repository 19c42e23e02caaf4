# What each figure and table is drawn from. A new one needs a line here, a module of its name in
# workflow/understanding_bn/figures/ and a caption in workflow/report/.
FIGURES = {
    "fig1_accuracy": training("history.parquet", lambda cell: cell.network == MAIN),
    "fig2_gradient_histogram": measured("gradient_histogram"),
    "fig3_relative_loss": measured("relative_loss"),
    "fig4_divergence_heatmap": measured("divergence_path"),
    "fig5_channel_moments": measured("channel_moments"),
    "fig6_logit_gradients": measured("logit_gradients"),
    "fig7_kernel_gradients": measured("kernel_gradients"),
    "fig8_singular_values": [f"{RESULTS}/random_matrices/values.parquet"],
    "single_final_bn": histories("batch-final"),
    "other_norms": histories(*(NORMS - COMPARED - {"batch-final"})),
    "max_learning_rate": measured("max_learning_rate"),
    "gradient_noise": measured("gradient_noise"),
    "input_mean_correlation": measured("input_mean_correlation"),
    "jacobian_conditioning": measured("jacobian_conditioning"),
    "hessian_spectrum": with_histories(trained("hessian_spectrum")),
    "noise_along_training": with_histories(trained("gradient_structure")),
    "noise_by_architecture": with_histories(trained("gradient_structure")),
    "alpha_batch_grid": with_histories(trained("gradient_structure"), trained("hessian_spectrum")) if GRID else [],
}
TABLES = {
    "table1_gradient_sums": measured("gradient_sums"),
    "readings": READ,
}


# Those for which this preset has data.
ITEMS = [f"{RESULTS}/figures/{name}.png" for name, inputs in FIGURES.items() if inputs]
ITEMS += [f"{RESULTS}/tables/{name}.md" for name, inputs in TABLES.items() if inputs]


for name, inputs in FIGURES.items():
    if inputs:

        rule:
            name:
                name
            input:
                values=inputs,
                # Any edit of its own module redraws a figure; code shared with others counts by fingerprint, below.
                module=f"workflow/understanding_bn/figures/{name}.py",
            output:
                pdf=f"{RESULTS}/figures/{name}.pdf",
                svg=f"{RESULTS}/figures/{name}.svg",
                csv=f"{RESULTS}/figures/{name}.csv",
                png=report(
                    f"{RESULTS}/figures/{name}.png",
                    caption=f"../report/{name}.rst",
                    category="Figures",
                    labels={"figure": name},
                ),
            log:
                f"logs/{CONFIG['preset']}/figures/{name}.log",
            benchmark:
                f"logs/{CONFIG['preset']}/figures/{name}.benchmark.tsv"
            localrule: True
            conda:
                ENVIRONMENT
            params:
                name=name,
                inputs=listed(name, inputs),
                out=lambda wildcards, output: Path(output.csv).parent,
                code=fingerprint("figures.job") + fingerprint(f"figures.{name}"),
            shell:
                "python -m understanding_bn figure {params.name} --inputs {params.inputs} --out {params.out}"
                " 2>&1 | tee {log}"


for name, inputs in TABLES.items():
    if inputs:

        rule:
            name:
                name
            input:
                values=inputs,
                module=f"workflow/understanding_bn/figures/{name}.py",
            output:
                md=f"{RESULTS}/tables/{name}.md",
                csv=report(
                    f"{RESULTS}/tables/{name}.csv",
                    caption=f"../report/{name}.rst",
                    category="Tables",
                    labels={"table": name},
                ),
            log:
                f"logs/{CONFIG['preset']}/tables/{name}.log",
            benchmark:
                f"logs/{CONFIG['preset']}/tables/{name}.benchmark.tsv"
            localrule: True
            conda:
                ENVIRONMENT
            params:
                name=name,
                inputs=listed(name, inputs),
                out=lambda wildcards, output: Path(output.csv).parent,
                code=fingerprint("figures.job") + fingerprint(f"figures.{name}"),
            shell:
                "python -m understanding_bn figure {params.name} --inputs {params.inputs} --out {params.out}"
                " 2>&1 | tee {log}"


# Short targets: `snakemake fig3` for fig3_relative_loss. One that this preset has no data for says so.
for name, inputs in (FIGURES | TABLES).items():
    short = name.split("_")[0]
    numbered = any(character.isdigit() for character in short)
    if inputs and numbered:

        rule:
            name:
                short
            input:
                next(item for item in ITEMS if Path(item).stem == name),
            localrule: True

    elif not inputs:
        for missing in [name, short] if numbered else [name]:

            rule:
                name:
                    missing
                log:
                    f"logs/{CONFIG['preset']}/figures/{missing}.log",
                localrule: True
                conda:
                    ENVIRONMENT
                params:
                    text=f"error: preset {CONFIG['preset']} has nothing to draw {name} from",
                shell:
                    "echo {params.text:q} | tee {log} >&2; exit 2"
