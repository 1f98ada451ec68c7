# in:  the official sources, or data_root        out: one file per dataset with fixed splits, and
#                                                     its test images corrupted, where asked for


# compute nodes rarely see the internet
localrules:
    dataset,


rule dataset:
    """Download or read a dataset and fix its splits."""
    input:
        script=script("dataset.py"),
        code=lambda w: code("dataset.py", imports.set_module(w.dataset)),
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


rule corrupt:
    """Corrupt the first test images; only where the configuration asks for it."""
    input:
        script=script("corrupt.py"),
        code=code("corrupt.py"),
        data=PATHS.dataset,
    output:
        PATHS.corrupted("{family}"),
    log:
        f"{LOGS}/corrupt/{{dataset}}-{{family}}.log",
    wildcard_constraints:
        family="|".join(CORRUPTIONS),
    conda:
        environment("corruptions")
    threads: CONFIG["threads"]
    resources:
        gpu=0,
        runtime=240,
        mem_mb=4_000,
    params:
        spec=spec(lambda w: PROTOCOL.corruptions_spec(w.dataset)),
        threads=CONFIG["threads"],
    shell:
        "python {input.script} --spec {params.spec:q} --data {input.data} --device cpu"
        " --family {wildcards.family} --threads {params.threads} --out {output} --log {log}"
