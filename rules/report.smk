# in:  all evaluations        out: leaderboard (CSV, page, LaTeX) and security evaluation curves


rule collect:
    """Gather the evaluations of one dataset and net: command lines have a limit, grids have not."""
    input:
        script=script("collect.py"),
        code=code("collect.py"),
        evaluations=of_models("evaluation.json"),
    output:
        PATHS.evaluations,
    log:
        f"{LOGS}/collect/{{dataset}}/{{arch}}.log",
    conda:
        environment("report")
    resources:
        gpu=0,
    shell:
        "python {input.script} --evaluations {input.evaluations} --out {output} --log {log}"


rule gather:
    """Gather other findings about the models in the same way."""
    input:
        script=script("collect.py"),
        code=code("collect.py"),
        files=lambda w: of_models(f"{w.kind}.json")(w),
    output:
        PATHS.gathered("{kind}"),
    log:
        f"{LOGS}/gather/{{dataset}}/{{arch}}/{{kind}}.log",
    wildcard_constraints:
        kind="costs|corruptions|opinions",
    conda:
        environment("report")
    resources:
        gpu=0,
    shell:
        "python {input.script} --evaluations {input.files} --out {output} --log {log}"


rule opinions_table:
    """The second opinions on all models."""
    input:
        script=script("opinions_table.py"),
        code=code("opinions_table.py"),
        opinions=ALL_OPINIONS,
    output:
        PATHS.summary("opinions.csv"),
    log:
        f"{LOGS}/opinions_table.log",
    conda:
        environment("report")
    resources:
        gpu=0,
    shell:
        "python {input.script} --opinions {input.opinions} --out {output} --log {log}"


rule corruptions_table:
    """All models on corrupted images: every severity, and means."""
    input:
        script=script("corruptions_table.py"),
        code=code("corruptions_table.py"),
        corruptions=ALL_CORRUPTIONS,
    output:
        long=PATHS.summary("corruptions.csv"),
        means=PATHS.summary("corruptions_means.csv"),
    log:
        f"{LOGS}/corruptions_table.log",
    conda:
        environment("report")
    resources:
        gpu=0,
    shell:
        "python {input.script} --corruptions {input.corruptions} --out {output.long}"
        " --means {output.means} --log {log}"


rule costs_table:
    """The costs of all models; timings differ between runs, so they stay out of the leaderboard."""
    input:
        script=script("costs_table.py"),
        code=code("costs_table.py"),
        costs=ALL_COSTS,
    output:
        PATHS.summary("costs.csv"),
    log:
        f"{LOGS}/costs_table.log",
    conda:
        environment("report")
    resources:
        gpu=0,
    shell:
        "python {input.script} --costs {input.costs} --out {output} --log {log}"


rule compare:
    """Every method against the references, image by image over all seeds."""
    input:
        script=script("compare.py"),
        code=code("compare.py"),
        evaluations=ALL_EVALUATIONS,
        methods=METHOD_FILES,
    output:
        csv=PATHS.summary("comparison.csv"),
        markdown=PATHS.summary("comparison.md"),
    log:
        f"{LOGS}/compare.log",
    conda:
        environment("report")
    resources:
        gpu=0,
    shell:
        "python {input.script} --evaluations {input.evaluations} --methods {input.methods}"
        " --csv {output.csv} --markdown {output.markdown} --log {log}"


rule curves:
    """Security evaluation curves: one overview, one figure per dataset, net and sparsity."""
    input:
        script=script("curves.py"),
        code=code("curves.py"),
        evaluations=ALL_EVALUATIONS,
        methods=METHOD_FILES,
    output:
        pdf=PATHS.summary("curves.pdf"),
        png=PATHS.summary("curves.png"),
        groups=directory(PATHS.summary("curves")),
    log:
        f"{LOGS}/curves.log",
    conda:
        environment("report")
    resources:
        gpu=0,
    shell:
        "python {input.script} --evaluations {input.evaluations} --methods {input.methods}"
        " --overview-pdf {output.pdf} --overview-png {output.png} --groups {output.groups}"
        " --log {log}"


rule thin_ice:
    """Which images lose their robustness to pruning: distances before and after it."""
    input:
        script=script("thin_ice.py"),
        code=code("thin_ice.py"),
        tables=thin_ice_tables,
        methods=METHOD_FILES,
    output:
        models=PATHS.thin_ice(".csv"),
        images=PATHS.thin_ice(".images.csv"),
        pdf=PATHS.thin_ice(".pdf"),
        png=PATHS.thin_ice(".png"),
    log:
        f"{LOGS}/thin_ice/{{dataset}}-{{arch}}-{{target}}.log",
    conda:
        environment("report")
    resources:
        gpu=0,
    params:
        # the tables' folders: a command line has a limit, shards have not
        spec=spec(thin_ice_spec),
    shell:
        "python {input.script} --spec {params.spec:q} --methods {input.methods}"
        " --models {output.models} --images {output.images}"
        " --figures {output.pdf} {output.png} --log {log}"


rule leaderboard:
    """The leaderboard as a table for programs, for papers and for readers."""
    input:
        script=script("leaderboard.py"),
        code=code("leaderboard.py"),
        page=[
            near(f"scripts/advprune/report/page.{kind}")
            for kind in ("html.j2", "css", "js")
        ],
        evaluations=ALL_EVALUATIONS,
        methods=METHOD_FILES,
        curves=PATHS.summary("curves.png"),
        thin_ice=ALL_THIN_ICE,
        costs=PATHS.summary("costs.csv"),
    output:
        csv=PATHS.summary("leaderboard.csv"),
        html=PATHS.summary("leaderboard.html"),
        tex=PATHS.summary("leaderboard.tex"),
    log:
        f"{LOGS}/leaderboard.log",
    conda:
        environment("report")
    resources:
        gpu=0,
    params:
        preset=CONFIG["preset"],
        thin_ice=lambda w, input: (
            f"--thin-ice {input.thin_ice}" if input.thin_ice else ""
        ),
    shell:
        "python {input.script} --evaluations {input.evaluations} --methods {input.methods}"
        " --curves {input.curves} {params.thin_ice} --costs {input.costs} --preset {params.preset}"
        " --csv {output.csv} --html {output.html} --tex {output.tex} --log {log}"
