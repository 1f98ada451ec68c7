# in:  images and a model's checkpoint        out: verdicts and distances per test image
#
# The test images are attacked in shards. AutoAttack draws its random numbers per batch, so the
# shard and batch sizes are part of its specification.


rule autoattack:
    """AutoAttack on one shard: which images it breaks, and by which attack."""
    input:
        data=images("test"),
        checkpoint=PATHS.of_model("checkpoint.safetensors"),
    output:
        out=PATHS.of_model("autoattack-{shard}.csv"),
        warnings=PATHS.of_model("autoattack-{shard}.warnings.json"),
        card=PATHS.of_model("autoattack-{shard}.card.json"),
        adversarials=VERDICTS.kept(
            PATHS.of_model("autoattack-{shard}.adversarials.safetensors")
        ),
    log:
        PATHS.model_log("autoattack", "-{shard}"),
    benchmark:
        PATHS.model_benchmark("autoattack", "-{shard}")
    priority: depth("autoattack")
    conda:
        environment("attack")
    threads: CONFIG["threads"]
    resources:
        **torch_resources("autoattack"),
    params:
        **torch_job("autoattack", of_shard(VERDICTS.autoattack)),
    shell:
        run_torch("autoattack")


rule hofmn_tune:
    """Tune FMN's hyper-parameters for one net on validation images."""
    input:
        data=images("train"),
        checkpoint=PATHS.of_model("checkpoint.safetensors"),
    output:
        out=PATHS.of_model("hofmn.json"),
        card=PATHS.of_model("hofmn.card.json"),
    log:
        PATHS.model_log("hofmn_tune"),
    benchmark:
        PATHS.model_benchmark("hofmn_tune")
    priority: depth("hofmn_tune")
    conda:
        environment("attack")
    threads: CONFIG["threads"]
    resources:
        **torch_resources("hofmn_tune"),
    params:
        **torch_job("hofmn_tune", of_model(VERDICTS.hofmn_tune)),
    shell:
        run_torch("hofmn_tune")


rule hofmn:
    """Tuned FMN on one shard: the distance of every image to its nearest adversarial."""
    input:
        data=images("test"),
        checkpoint=PATHS.of_model("checkpoint.safetensors"),
        tuned=PATHS.of_model("hofmn.json"),
    output:
        out=PATHS.of_model("hofmn-{shard}.csv"),
        card=PATHS.of_model("hofmn-{shard}.card.json"),
        adversarials=VERDICTS.kept(
            PATHS.of_model("hofmn-{shard}.adversarials.safetensors")
        ),
    log:
        PATHS.model_log("hofmn", "-{shard}"),
    benchmark:
        PATHS.model_benchmark("hofmn", "-{shard}")
    priority: depth("hofmn")
    conda:
        environment("attack")
    threads: CONFIG["threads"]
    resources:
        **torch_resources("hofmn"),
    params:
        **torch_job("hofmn", of_shard(VERDICTS.hofmn)),
    shell:
        run_torch("hofmn")
