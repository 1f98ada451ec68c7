# in:  a dataset        out: whether the net can be pruned and attacked, found out before training;
#                            a dense robust net per objective and recipe, shared by the methods


rule check_net:
    """Take a fresh net through masks, audit and compaction, before it is trained for hours.

    The script is no input, so that another check makes no training stale: what comes out depends
    on the net, and where that has changed, the trainings are stale anyway. `ancient` is no way to
    that end: Snakemake leaves jobs below one that runs out of the plan then, even those that are
    stale for reasons of their own.
    """
    input:
        net=net_files,
    output:
        PATHS.net_check,
    log:
        f"{LOGS}/check_net/{{dataset}}/{{arch}}.log",
    conda:
        environment("train")
    resources:
        gpu=0,
        runtime=10,
        mem_mb=4_000,
    params:
        script=script("check_net.py"),
        spec=spec(lambda w: PROTOCOL.net_spec(w.dataset, w.arch)),
    shell:
        "python {params.script} --spec {params.spec:q} --out {output} --log {log}"


rule pretrain:
    """Train a dense net adversarially."""
    input:
        script=script("pretrain.py"),
        code=net_code("pretrain.py"),
        data=PATHS.train,
        checked=PATHS.net_check,
    output:
        net=PATHS.pretrained,
        card=PATHS.pretrained.replace(".safetensors", ".json"),
    log:
        f"{LOGS}/pretrain/{{dataset}}/{{arch}}/{{recipe}}/seed{{seed}}.log",
    benchmark:
        f"{LOGS}/pretrain/{{dataset}}/{{arch}}/{{recipe}}/seed{{seed}}.tsv"
    conda:
        environment("train")
    threads: CONFIG["threads"]
    resources:
        gpu=gpu,
        runtime=growing(480, without=1440),
        mem_mb=growing(8_000, without=4_000),
    params:
        spec=spec(lambda w: PROTOCOL.pretrain_spec_of(w.dataset, w.arch, w.recipe)),
        threads=CONFIG["threads"],
        device=CONFIG["device"],
    shell:
        "python {input.script} --spec {params.spec:q} --data {input.data} --seed {wildcards.seed}"
        " --threads {params.threads} --device {params.device} --out {output.net} --log {log}"
