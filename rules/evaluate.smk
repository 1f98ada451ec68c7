# in:  a model's checkpoint and the verdicts on it        out: its numbers


rule audit:
    """Recount sparsity, parameters and MACs from the saved file."""
    input:
        checkpoint=PATHS.of_model("checkpoint.safetensors"),
    output:
        out=PATHS.of_model("audit.json"),
    log:
        PATHS.model_log("audit"),
    benchmark:
        PATHS.model_benchmark("audit")
    priority: depth("audit")
    conda:
        environment("train")
    params:
        **job("audit", of_model(VERDICTS.audit)),
    shell:
        run_spec("audit")


rule costs:
    """What a model costs: parameters, multiplications and measured latency of its compact net."""
    input:
        audit=PATHS.of_model("audit.json"),
        checkpoint=PATHS.of_model("checkpoint.safetensors"),
    output:
        out=PATHS.of_model("costs.json"),
    log:
        PATHS.model_log("costs"),
    benchmark:
        PATHS.model_benchmark("costs")
    priority: depth("costs")
    conda:
        environment("train")
    threads: CONFIG["threads"]
    resources:
        **torch_resources("costs"),
    params:
        **torch_job("costs", of_model(VERDICTS.costs)),
    shell:
        run_torch("costs")


rule evaluate:
    """Count a model's verdicts into accuracies, intervals, its curve and its status."""
    input:
        audit=PATHS.of_model("audit.json"),
        autoattack=shards("autoattack-{shard}.csv", "autoattack"),
        warnings=shards("autoattack-{shard}.warnings.json", "autoattack"),
        distances=shards("hofmn-{shard}.csv", "hofmn"),
        reliability=PATHS.of_model("reliability.json"),
        pgd=PATHS.of_model("pgd.json"),
        checkpoint=PATHS.of_model("checkpoint.json"),
        tuned=PATHS.of_model("hofmn.json"),
    output:
        out=PATHS.of_model("evaluation.json"),
        card=PATHS.of_model("evaluation.card.json"),
    log:
        PATHS.model_log("evaluate"),
    benchmark:
        PATHS.model_benchmark("evaluate")
    priority: depth("evaluate")
    conda:
        environment("report")
    params:
        **job("evaluate", of_model(VERDICTS.evaluate)),
    shell:
        run_spec("evaluate")
