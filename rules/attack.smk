# in:  test images and a model's checkpoint        out: verdicts and distances per test image, doubts,
#                                                     costs
#
# The test images are attacked in shards. AutoAttack draws its random numbers per batch, so the
# shard and batch sizes are part of its specification.


rule autoattack:
    """AutoAttack on one shard: which images it breaks, and by which attack."""
    input:
        script=script("run_autoattack.py"),
        code=net_code("run_autoattack.py"),
        data=PATHS.test,
        net=PATHS.of_model("checkpoint.safetensors"),
    output:
        table=PATHS.of_model("autoattack-{shard}.csv"),
        warnings=PATHS.of_model("autoattack-{shard}.warnings.json"),
        card=PATHS.of_model("autoattack-{shard}.card.json"),
    log:
        model_log("autoattack") + "-{shard}.log",
    benchmark:
        model_log("autoattack") + "-{shard}.tsv"
    conda:
        environment("attack")
    threads: CONFIG["threads"]
    resources:
        gpu=gpu,
        runtime=growing(240, without=2880),
        mem_mb=growing(8_000, without=12_000),
    params:
        spec=attack_spec("autoattack"),
        threads=CONFIG["threads"],
        device=CONFIG["device"],
    shell:
        "python {input.script} --spec {params.spec:q} --data {input.data} --checkpoint {input.net}"
        " --shard {wildcards.shard} --threads {params.threads} --device {params.device}"
        " --out {output.table} --warnings {output.warnings} --card {output.card} --log {log}"


rule hofmn_tune:
    """Tune FMN's hyper-parameters for one net on validation images."""
    input:
        script=script("tune_hofmn.py"),
        code=net_code("tune_hofmn.py"),
        data=PATHS.train,
        net=PATHS.of_model("checkpoint.safetensors"),
    output:
        tuned=PATHS.of_model("hofmn.json"),
        card=PATHS.of_model("hofmn.card.json"),
    log:
        model_log("hofmn_tune") + ".log",
    benchmark:
        model_log("hofmn_tune") + ".tsv"
    conda:
        environment("attack")
    threads: CONFIG["threads"]
    resources:
        gpu=gpu,
        runtime=growing(60, without=720),
        mem_mb=growing(8_000, without=4_000),
    params:
        spec=attack_spec("hofmn"),
        threads=CONFIG["threads"],
        device=CONFIG["device"],
    shell:
        "python {input.script} --spec {params.spec:q} --data {input.data} --checkpoint {input.net}"
        " --threads {params.threads} --device {params.device} --out {output.tuned}"
        " --card {output.card} --log {log}"


rule hofmn:
    """Tuned FMN on one shard: the distance of every image to its nearest adversarial."""
    input:
        script=script("run_hofmn.py"),
        code=net_code("run_hofmn.py"),
        data=PATHS.test,
        net=PATHS.of_model("checkpoint.safetensors"),
        tuned=PATHS.of_model("hofmn.json"),
    output:
        table=PATHS.of_model("hofmn-{shard}.csv"),
        card=PATHS.of_model("hofmn-{shard}.card.json"),
    log:
        model_log("hofmn") + "-{shard}.log",
    benchmark:
        model_log("hofmn") + "-{shard}.tsv"
    conda:
        environment("attack")
    threads: CONFIG["threads"]
    resources:
        gpu=gpu,
        runtime=growing(60, without=1440),
        mem_mb=growing(8_000, without=16_000),
    params:
        spec=attack_spec("hofmn"),
        threads=CONFIG["threads"],
        device=CONFIG["device"],
    shell:
        "python {input.script} --spec {params.spec:q} --data {input.data} --checkpoint {input.net}"
        " --tuned {input.tuned} --shard {wildcards.shard} --threads {params.threads}"
        " --device {params.device} --out {output.table} --card {output.card} --log {log}"


rule doubts:
    """Signs that the attacks on a model have failed, and what HO-FMN missed attacked again."""
    input:
        script=script("doubts.py"),
        code=net_code("doubts.py"),
        data=PATHS.test,
        net=PATHS.of_model("checkpoint.safetensors"),
        tuned=PATHS.of_model("hofmn.json"),
        autoattack=shards("autoattack-{shard}.csv", "autoattack"),
        hofmn=shards("hofmn-{shard}.csv", "hofmn"),
    output:
        PATHS.of_model("doubts.json"),
    log:
        model_log("doubts") + ".log",
    benchmark:
        model_log("doubts") + ".tsv"
    conda:
        environment("attack")
    threads: CONFIG["threads"]
    resources:
        gpu=gpu,
        runtime=growing(60, without=1440),
        mem_mb=growing(8_000, without=16_000),
    params:
        spec=spec(lambda w: PROTOCOL.doubts_spec(w.dataset) | {"seed": int(w.seed)}),
        threads=CONFIG["threads"],
        device=CONFIG["device"],
    shell:
        "python {input.script} --spec {params.spec:q} --data {input.data} --checkpoint {input.net}"
        " --tuned {input.tuned} --autoattack {input.autoattack} --hofmn {input.hofmn}"
        " --threads {params.threads} --device {params.device} --out {output} --log {log}"


rule opinions:
    """What attacks of other libraries find on a sample; only where the configuration asks for it."""
    input:
        script=script("opinions.py"),
        code=net_code("opinions.py"),
        data=PATHS.test,
        net=PATHS.of_model("checkpoint.safetensors"),
        autoattack=shards("autoattack-{shard}.csv", "autoattack"),
        hofmn=shards("hofmn-{shard}.csv", "hofmn"),
    output:
        PATHS.of_model("opinions.json"),
    log:
        model_log("opinions") + ".log",
    benchmark:
        model_log("opinions") + ".tsv"
    conda:
        environment("opinions")
    threads: CONFIG["threads"]
    resources:
        gpu=gpu,
        runtime=growing(120, without=1440),
        mem_mb=growing(8_000, without=12_000),
    params:
        spec=attack_spec("opinions"),
        model=spec(identity),
        threads=CONFIG["threads"],
        device=CONFIG["device"],
    shell:
        "python {input.script} --spec {params.spec:q} --model {params.model:q} --data {input.data}"
        " --checkpoint {input.net} --autoattack {input.autoattack} --hofmn {input.hofmn}"
        " --threads {params.threads} --device {params.device} --out {output} --log {log}"


rule corruptions:
    """Accuracy on corrupted test images; only where the configuration asks for it."""
    input:
        script=script("corruptions.py"),
        code=net_code("corruptions.py"),
        data=PATHS.test,
        corrupted=[PATHS.corrupted(family) for family in CORRUPTIONS],
        net=PATHS.of_model("checkpoint.safetensors"),
    output:
        PATHS.of_model("corruptions.json"),
    log:
        model_log("corruptions") + ".log",
    benchmark:
        model_log("corruptions") + ".tsv"
    conda:
        environment("attack")
    threads: CONFIG["threads"]
    resources:
        gpu=gpu,
        runtime=growing(30, without=720),
        mem_mb=growing(8_000, without=12_000),
    params:
        spec=spec(
            lambda w: PROTOCOL.corruptions_spec(w.dataset)
            | {"batch": CONFIG["evaluation"]["autoattack"]["batch"]}
        ),
        model=spec(identity),
        threads=CONFIG["threads"],
        device=CONFIG["device"],
    shell:
        "python {input.script} --spec {params.spec:q} --model {params.model:q} --data {input.data}"
        " --corrupted {input.corrupted} --checkpoint {input.net} --threads {params.threads}"
        " --device {params.device} --out {output} --log {log}"


rule costs:
    """What a model costs: parameters, multiplications and measured latency of its compact net."""
    input:
        script=script("costs.py"),
        code=net_code("costs.py"),
        audit=PATHS.of_model("audit.json"),
        net=PATHS.of_model("checkpoint.safetensors"),
    output:
        PATHS.of_model("costs.json"),
    log:
        model_log("costs") + ".log",
    conda:
        environment("train")
    threads: CONFIG["threads"]
    resources:
        gpu=gpu,
        runtime=growing(30, without=60),
        mem_mb=growing(8_000, without=12_000),
    params:
        model=spec(identity),
        batch=CONFIG["evaluation"]["autoattack"]["batch"],
        threads=CONFIG["threads"],
        device=CONFIG["device"],
    shell:
        "python {input.script} --model {params.model:q} --audit {input.audit}"
        " --checkpoint {input.net} --batch {params.batch} --threads {params.threads}"
        " --device {params.device} --out {output} --log {log}"


rule evaluate:
    """Count a model's verdicts into accuracies, intervals, its curve and its status."""
    input:
        script=script("evaluate.py"),
        code=code("evaluate.py"),
        audit=PATHS.of_model("audit.json"),
        autoattack=shards("autoattack-{shard}.csv", "autoattack"),
        warnings=shards("autoattack-{shard}.warnings.json", "autoattack"),
        hofmn=shards("hofmn-{shard}.csv", "hofmn"),
        doubts=PATHS.of_model("doubts.json"),
        checkpoint=PATHS.of_model("checkpoint.json"),
        tuned=PATHS.of_model("hofmn.json"),
    output:
        record=PATHS.of_model("evaluation.json"),
        card=PATHS.of_model("evaluation.card.json"),
    log:
        model_log("evaluate") + ".log",
    conda:
        environment("report")
    resources:
        gpu=0,
    params:
        model=spec(identity),
        eps=lambda w: CONFIG["datasets"][w.dataset]["eps"],
        classes=lambda w: spec_of(w.dataset).classes,
        settings=spec(attack_settings),
    shell:
        "python {input.script} --model {params.model:q} --eps {params.eps}"
        " --classes {params.classes} --audit {input.audit} --autoattack {input.autoattack}"
        " --warnings {input.warnings} --hofmn {input.hofmn} --doubts {input.doubts}"
        " --checkpoint {input.checkpoint} --tuned {input.tuned} --settings {params.settings:q}"
        " --out {output.record} --card {output.card} --log {log}"
