# in:  the official sources, or data_root        out: per dataset what is trained with and what is
#                                                     tested on, and its test images corrupted,
#                                                     where asked for


# compute nodes rarely see the internet
localrules:
    training_data,
    test_data,


def dataset_code(wildcards):
    """Input function: library files of the script with the dataset's module."""
    return code("dataset.py", imports.set_module(wildcards.dataset))


DATA_ROOT = (
    f"--data-root {shlex.quote(CONFIG['data_root'])}" if CONFIG["data_root"] else ""
)


rule training_data:
    """Download or read a dataset and fix its training and validation images."""
    input:
        script=script("dataset.py"),
        code=dataset_code,
    output:
        PATHS.train,
    log:
        f"{LOGS}/training_data/{{dataset}}.log",
    conda:
        environment("data")
    resources:
        gpu=0,
    params:
        spec=spec(lambda w: PROTOCOL.data_spec(w.dataset, "train", "val")),
        data_root=DATA_ROOT,
        cache="results/downloads",
    shell:
        "python {input.script} --spec {params.spec:q} {params.data_root} --cache {params.cache}"
        " --train-out {output} --log {log}"


rule test_data:
    """Download or read a dataset and fix its test images; more of them concern attacks alone."""
    input:
        script=script("dataset.py"),
        code=dataset_code,
    output:
        PATHS.test,
    log:
        f"{LOGS}/test_data/{{dataset}}.log",
    conda:
        environment("data")
    resources:
        gpu=0,
    params:
        spec=spec(lambda w: PROTOCOL.data_spec(w.dataset, "test")),
        data_root=DATA_ROOT,
        cache="results/downloads",
    shell:
        "python {input.script} --spec {params.spec:q} {params.data_root} --cache {params.cache}"
        " --test-out {output} --log {log}"


rule corrupt:
    """Corrupt the first test images; only where the configuration asks for it."""
    input:
        script=script("corrupt.py"),
        code=code("corrupt.py"),
        data=PATHS.test,
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
