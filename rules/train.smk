# in:  a dataset, or a file that was trained elsewhere
# out: a dense robust net per objective and recipe, shared by the methods; per model the pruned net
#      and the final one; dense and final nets of the best epoch, which is used, and of the last
#
# Beside every net lies its card: an output without a name, because the script knows where.


# seconds, and the sooner the better: not worth a queue
localrules:
    check_net,


rule check_net:
    """Take a fresh net through masks, audit and compaction, before it is trained for hours.

    The digest is the net's and not the script's, so that another check makes no training stale.
    `ancient` is no way to that end: with it, Snakemake leaves jobs below one that runs out of the
    plan, even those that are stale for reasons of their own.
    """
    input:
        begin,
    output:
        out=PATHS.net_check,
    log:
        PATHS.log("check_net/{dataset}/{arch}"),
    benchmark:
        PATHS.benchmark("check_net/{dataset}/{arch}")
    priority: FIRST
    conda:
        environment("train")
    params:
        **job("check_net", lambda w: PROTOCOL.net(w.dataset, w.arch)),
    shell:
        run_spec("check_net")


rule pretrain:
    """Train a dense net adversarially: the best epoch, and beside it the last."""
    input:
        PATHS.net_check,
        data=images("train"),
        extra=extra_images,
    output:
        PATHS.pretrained.replace(".safetensors", ".json"),
        PATHS.pretrained_last.replace(".safetensors", ".json"),
        out=PATHS.pretrained,
        last=PATHS.pretrained_last,
    log:
        PATHS.log("pretrain/{dataset}/{arch}/{recipe}/seed{seed}"),
    benchmark:
        PATHS.benchmark("pretrain/{dataset}/{arch}/{recipe}/seed{seed}")
    conda:
        environment("train")
    threads: CONFIG["threads"]
    resources:
        **torch_resources("pretrain"),
    params:
        **torch_job("pretrain", pretraining),
    shell:
        run_torch("pretrain")


rule prune:
    """Find a method's masks."""
    input:
        PATHS.net_check,
        data=images("train"),
        pretrained=pretrained,
        extra=extra_images,
    output:
        PATHS.of_model("pruned.json"),
        out=PATHS.of_model("pruned.safetensors"),
    log:
        PATHS.model_log("prune"),
    benchmark:
        PATHS.model_benchmark("prune")
    priority: depth("prune")
    conda:
        environment("train")
    threads: CONFIG["threads"]
    resources:
        **torch_resources("prune"),
    params:
        **torch_job("prune", of_model(PROTOCOL.prune)),
    shell:
        run_torch("prune")


rule finetune:
    """Train what pruning left, masks fixed: the best epoch, and beside it the last."""
    input:
        data=images("train"),
        pruned=PATHS.of_model("pruned.safetensors"),
        teacher=teacher,
        extra=extra_images,
    output:
        PATHS.of_model("checkpoint.json"),
        PATHS.of_model("last.json"),
        out=PATHS.of_model("checkpoint.safetensors"),
        last=PATHS.of_model("last.safetensors"),
    log:
        PATHS.model_log("finetune"),
    benchmark:
        PATHS.model_benchmark("finetune")
    wildcard_constraints:
        method=TRAINED,
    priority: depth("finetune")
    conda:
        environment("train")
    threads: CONFIG["threads"]
    resources:
        **torch_resources("finetune"),
    params:
        **torch_job("finetune", of_model(PROTOCOL.finetune)),
    shell:
        run_torch("finetune")


rule external:
    """Convert a net that was trained elsewhere."""
    input:
        begin,
        source=source,
    output:
        PATHS.of_model("checkpoint.json"),
        out=PATHS.of_model("checkpoint.safetensors"),
    log:
        PATHS.model_log("external"),
    benchmark:
        PATHS.model_benchmark("external")
    wildcard_constraints:
        method=EXTERNAL,
    priority: depth("external")
    conda:
        environment("convert")
    params:
        **job("external", of_model(PROTOCOL.convert)),
    shell:
        run_spec("external")
