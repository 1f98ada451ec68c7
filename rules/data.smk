# in:  the official sources, or data_root        out: per dataset what is trained with and what is
#                                                     tested on; test images corrupted, if asked for


# compute nodes rarely see the internet
localrules:
    dataset,


rule dataset:
    """Download or read a dataset and fix its splits; more test images concern attacks alone."""
    input:
        begin,
    output:
        out=PATHS.data("{split}"),
    log:
        PATHS.log("dataset/{dataset}-{split}"),
    benchmark:
        PATHS.benchmark("dataset/{dataset}-{split}")
    wildcard_constraints:
        split="train|test",
    priority: FIRST
    conda:
        environment("data")
    resources:
        gpu=0,
        data_root=CONFIG["data_root"] or "",  # no parameter: the images are the same
    params:
        **job("dataset", lambda w: PROTOCOL.data(w.dataset, w.split)),
    shell:
        run_spec("dataset") + " --data-root {resources.data_root:q}"


rule corrupt:
    """Corrupt the first test images; only where the configuration asks for it."""
    input:
        data=PATHS.data("test"),
    output:
        out=PATHS.corrupted("{family}"),
    log:
        PATHS.log("corrupt/{dataset}-{family}"),
    benchmark:
        PATHS.benchmark("corrupt/{dataset}-{family}")
    priority: FIRST
    conda:
        environment("corruptions")
    threads: CONFIG["threads"]
    resources:
        **torch_resources("corrupt") | {"gpu": 0},
    params:
        **torch_job("corrupt", lambda w: VERDICTS.corrupt(w.dataset, w.family)),
    shell:
        run_torch("corrupt")
