# in:  an identifier of a released file, or a local copy        out: the file, whether it can be
#                                                                    had, its net's row
#
# Only what is there is converted and attacked, so the plan is made in two steps: `released` says
# which files are there, and Snakemake goes on with these.


# downloads, which compute nodes rarely see the internet for, and seconds
localrules:
    fetch,
    released,
    unavailable,


rule fetch:
    """Fetch a released checkpoint, or take a local copy, and see what it is."""
    input:
        begin,
    output:
        out=PATHS.fetched,
    log:
        PATHS.log("fetch/released/{key}"),
    benchmark:
        PATHS.benchmark("fetch/released/{key}")
    wildcard_constraints:
        key="|".join(RELEASED) or "-",
    priority: FIRST
    conda:
        environment("convert")
    resources:
        downloads=1,  # of as many as the profile allows
        folder=CONFIG.get("released_root") or DOWNLOADS,  # the files are the same
        local="--local" if CONFIG.get("released_root") else "",
    params:
        **job("fetch", lambda w: PROTOCOL.fetch(w.key)),
    shell:
        run_spec("fetch") + " --folder {resources.folder:q} {resources.local}"


checkpoint released:
    """Gather which released files are there, and their hashes."""
    input:
        fetched=expand(PATHS.fetched, key=RELEASED),
    output:
        out=PATHS.summary("released.json"),
        lock=PATHS.summary("released.lock.csv"),
    log:
        PATHS.log("released"),
    priority: FIRST
    conda:
        environment("convert")
    params:
        **job("released"),
    shell:
        run("released")


rule unavailable:
    """The row of a released net that cannot be had."""
    input:
        fetched=lambda w: PATHS.fetched.format(key=PROTOCOL.released[model(w)].key),
    output:
        out=PATHS.of_model("unavailable.json"),
    log:
        PATHS.model_log("unavailable"),
    wildcard_constraints:
        method=EXTERNAL,
    priority: FIRST
    conda:
        environment("report")
    params:
        **job("unavailable", of_model(VERDICTS.unavailable)),
    shell:
        run_spec("unavailable")


rule beside:
    """Released nets beside what was published of them, and beside ours of the same method."""
    input:
        evaluations=gathered("evaluations"),
    output:
        csv=report(
            PATHS.summary("released.csv"),
            caption="../workflow/report/released.rst",
            category="Leaderboard",
            labels={"format": "released"},
        ),
        section=PATHS.section("released"),
    log:
        PATHS.log("beside"),
    priority: FIRST
    conda:
        environment("report")
    params:
        **page_job("beside"),
    shell:
        run("beside")
