# in:  the official sources, or data_root        out: one file per dataset with fixed splits


# compute nodes rarely see the internet
localrules:
    dataset,


rule dataset:
    """Download or read a dataset and fix its splits."""
    input:
        script=script("dataset.py"),
        code=code("dataset.py"),
    output:
        PATHS.dataset,
    log:
        f"{LOGS}/dataset/{{dataset}}.log",
    conda:
        environment("data")
    resources:
        gpu=0,
    params:
        spec=spec(lambda w: PROTOCOL.data_spec(w.dataset)),
        data_root=(
            f"--data-root {shlex.quote(CONFIG['data_root'])}"
            if CONFIG["data_root"]
            else ""
        ),
        cache="results/downloads",
    shell:
        "python {input.script} --spec {params.spec:q} {params.data_root} --cache {params.cache}"
        " --out {output} --log {log}"
