# in:  a dataset        out: a dense robust net per objective and recipe, shared by the methods


rule pretrain:
    """Train a dense net adversarially."""
    input:
        script=script("pretrain.py"),
        code=net_code("pretrain.py"),
        data=PATHS.train,
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
