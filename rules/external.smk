# in:  files that the configuration names under `external`        out: checkpoints of ours


rule external:
    """Convert a net that was trained elsewhere."""
    input:
        script=script("external.py"),
        code=net_code("external.py"),
        source=lambda w: PROTOCOL.external[w.method]["path"],
    output:
        net=PATHS.of_model("checkpoint.safetensors"),
        card=PATHS.of_model("checkpoint.json"),
    log:
        model_log("external") + ".log",
    wildcard_constraints:
        method=EXTERNAL,
    conda:
        environment("train")
    resources:
        gpu=0,
    params:
        spec=spec(lambda w: PROTOCOL.external_spec(w.method)),
    shell:
        "python {input.script} --spec {params.spec:q} --source {input.source:q}"
        " --out {output.net} --log {log}"
