# in:  the official sources, or data_root        out: one file per dataset with fixed splits, and
#                                                     its test images corrupted, where asked for


# compute nodes rarely see the internet
localrules:
    dataset,


rule dataset:
    """Download or read a dataset and fix its splits."""
    output:
        out=PATHS.dataset,
    log:
        PATHS.log("dataset/{dataset}"),
    conda:
        environment("data")
    resources:
        gpu=0,
        data_root=CONFIG["data_root"] or "",  # no parameter: the images are the same
    params:
        **job("dataset", lambda w: PROTOCOL.data(w.dataset)),
    shell:
        run_spec("dataset") + " --data-root {resources.data_root:q}"


rule corrupt:
    """Corrupt the first test images; only where the configuration asks for it."""
    input:
        data=PATHS.dataset,
    output:
        out=PATHS.corrupted("{family}"),
    log:
        PATHS.log("corrupt/{dataset}-{family}"),
    wildcard_constraints:
        family="|".join(CORRUPTIONS),
    conda:
        environment("corruptions")
    threads: CONFIG["threads"]
    resources:
        **torch_resources(240, 240, 4_000) | {"gpu": 0, "device": "cpu"},
    params:
        **torch_job("corrupt", lambda w: VERDICTS.corrupt(w.dataset, w.family)),
    shell:
        run_torch("corrupt")
