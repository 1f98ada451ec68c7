# in:  a dataset, and a pretrained net for methods after training (and for distillation from it)
# out: per model the pruned net, the final net, and the recount of its sparsity


rule prune:
    """Find a method's masks."""
    input:
        script=script("prune.py"),
        code=method_code("prune.py"),
        data=PATHS.train,
        checked=PATHS.net_check,
        pretrained=pretrained,
    output:
        net=PATHS.of_model("pruned.safetensors"),
        card=PATHS.of_model("pruned.json"),
    log:
        model_log("prune") + ".log",
    benchmark:
        model_log("prune") + ".tsv"
    wildcard_constraints:
        method=TRAINED,
    conda:
        environment("train")
    threads: CONFIG["threads"]
    resources:
        gpu=gpu,
        runtime=growing(480, without=1440),
        mem_mb=growing(8_000, without=4_000),
    params:
        spec=spec(lambda w: PROTOCOL.prune_spec(model_of(w), int(w.seed))),
        start=lambda w, input: (
            f"--pretrained {input.pretrained}" if input.pretrained else ""
        ),
        threads=CONFIG["threads"],
        device=CONFIG["device"],
    shell:
        "python {input.script} --spec {params.spec:q} --data {input.data} {params.start}"
        " --threads {params.threads} --device {params.device} --out {output.net} --log {log}"


rule finetune:
    """Train what pruning left, masks fixed."""
    input:
        script=script("finetune.py"),
        code=method_code("finetune.py"),
        data=PATHS.train,
        pruned=PATHS.of_model("pruned.safetensors"),
        teacher=teacher,
    output:
        net=PATHS.of_model("checkpoint.safetensors"),
        card=PATHS.of_model("checkpoint.json"),
    log:
        model_log("finetune") + ".log",
    benchmark:
        model_log("finetune") + ".tsv"
    wildcard_constraints:
        method=TRAINED,
    conda:
        environment("train")
    threads: CONFIG["threads"]
    resources:
        gpu=gpu,
        runtime=growing(480, without=1440),
        mem_mb=growing(8_000, without=4_000),
    params:
        spec=spec(lambda w: PROTOCOL.finetune_spec(model_of(w), int(w.seed))),
        teacher=lambda w, input: f"--teacher {input.teacher}" if input.teacher else "",
        threads=CONFIG["threads"],
        device=CONFIG["device"],
    shell:
        "python {input.script} --spec {params.spec:q} --data {input.data} --pruned {input.pruned}"
        " {params.teacher} --threads {params.threads} --device {params.device} --out {output.net} --log {log}"


rule audit:
    """Recount sparsity, parameters and MACs from the saved file."""
    input:
        script=script("audit.py"),
        code=net_code("audit.py"),
        net=PATHS.of_model("checkpoint.safetensors"),
    output:
        PATHS.of_model("audit.json"),
    log:
        model_log("audit") + ".log",
    conda:
        environment("train")
    resources:
        gpu=0,
    params:
        structure=lambda w: model_of(w).structure,
        sparsity=lambda w: model_of(w).sparsity,
    shell:
        "python {input.script} --checkpoint {input.net} --structure {params.structure}"
        " --sparsity {params.sparsity} --out {output} --log {log}"
