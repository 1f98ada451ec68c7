# in:  a model and the verdicts on it        out: what speaks against them, and what else is asked


rule pgd:
    """What PGD-20 leaves of the best epoch and of the last, which shows robust overfitting."""
    input:
        data=images("test"),
        checkpoint=PATHS.of_model("checkpoint.safetensors"),
        last=last_epoch,
    output:
        out=PATHS.of_model("pgd.json"),
    log:
        PATHS.model_log("pgd"),
    benchmark:
        PATHS.model_benchmark("pgd")
    priority: depth("pgd")
    conda:
        environment("attack")
    threads: CONFIG["threads"]
    resources:
        **torch_resources("pgd"),
    params:
        **torch_job("pgd", of_model(VERDICTS.pgd)),
    shell:
        run_torch("pgd")


rule reliability:
    """Signs that the attacks on a model have failed, and what HO-FMN missed attacked again."""
    input:
        data=images("test"),
        checkpoint=PATHS.of_model("checkpoint.safetensors"),
        tuned=PATHS.of_model("hofmn.json"),
        autoattack=shards("autoattack-{shard}.csv", "autoattack"),
        distances=shards("hofmn-{shard}.csv", "hofmn"),
    output:
        out=PATHS.of_model("reliability.json"),
    log:
        PATHS.model_log("reliability"),
    benchmark:
        PATHS.model_benchmark("reliability")
    priority: depth("reliability")
    conda:
        environment("attack")
    threads: CONFIG["threads"]
    resources:
        **torch_resources("reliability"),
    params:
        **torch_job("reliability", of_model(VERDICTS.reliability)),
    shell:
        run_torch("reliability")


rule other_attacks:
    """What attacks of other libraries find on a sample; only where the configuration asks for it."""
    input:
        data=images("test"),
        checkpoint=PATHS.of_model("checkpoint.safetensors"),
        reliability=PATHS.of_model("reliability.json"),
        autoattack=shards("autoattack-{shard}.csv", "autoattack"),
        distances=shards("hofmn-{shard}.csv", "hofmn"),
    output:
        out=PATHS.of_model("other_attacks.json"),
    log:
        PATHS.model_log("other_attacks"),
    benchmark:
        PATHS.model_benchmark("other_attacks")
    priority: depth("other_attacks")
    conda:
        environment("other_attacks")
    threads: CONFIG["threads"]
    resources:
        **torch_resources("other_attacks"),
    params:
        **torch_job("other_attacks", of_model(VERDICTS.other_attacks)),
    shell:
        run_torch("other_attacks")


rule corruptions:
    """Accuracy on corrupted test images; only where the configuration asks for it."""
    input:
        data=images("test"),
        corrupted=corrupted,
        checkpoint=PATHS.of_model("checkpoint.safetensors"),
    output:
        out=PATHS.of_model("corruptions.json"),
    log:
        PATHS.model_log("corruptions"),
    benchmark:
        PATHS.model_benchmark("corruptions")
    priority: depth("corruptions")
    conda:
        environment("attack")
    threads: CONFIG["threads"]
    resources:
        **torch_resources("corruptions"),
    params:
        **torch_job("corruptions", of_model(VERDICTS.corruptions)),
    shell:
        run_torch("corruptions")
