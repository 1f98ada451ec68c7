# in:  what was found about all models        out: leaderboard (CSV, page, LaTeX), curves, tables

TABLES = ["models.csv", "figures"]
if CONFIG["evaluation"].get("other_attacks"):
    TABLES += ["other_attacks.csv"]
if CONFIG["evaluation"].get("corruptions"):
    TABLES += ["corruptions.csv", "corruptions_means.csv"]
# what the page has a section of, each with its table and figure
SECTIONS = ["ranking", "best_known", "survey", "agreement", "pruning", "tradeoffs"]
SECTIONS = [PATHS.section(key) for key in SECTIONS]
# what there is even where no model can be had
ALWAYS = [PATHS.summary(table) for table in ("costs.csv", "provenance.csv")]
RELEASED_ROWS = [PATHS.section("released")] if PROTOCOL.released else []
if PROTOCOL.released:
    ALWAYS += [PATHS.summary("released.csv"), *RELEASED_ROWS]


rule gather:
    """Gather findings about the models of one dataset and net: command lines have a limit."""
    input:
        findings=lambda w: of_models(PATHS.finding(w.kind))(w),
    output:
        out=PATHS.gathered("{kind}"),
    log:
        PATHS.log("gather/{dataset}/{arch}/{kind}"),
    wildcard_constraints:
        kind="evaluations|costs|corruptions|other_attacks",
    priority: FIRST
    conda:
        environment("report")
    params:
        **job("gather"),
    shell:
        run("gather")


rule table:
    """One kind of finding about all models; timings differ between runs, so costs are no column."""
    input:
        findings=lambda w: gathered(w.kind.removesuffix("_means")),
    output:
        out=report(
            PATHS.summary("{kind}.csv"),
            caption="../workflow/report/table.rst",
            category="Costs and more",
            labels={"table": "{kind}"},
        ),
    log:
        PATHS.log("table/{kind}"),
    wildcard_constraints:
        kind="costs|other_attacks|corruptions|corruptions_means",
    priority: FIRST
    conda:
        environment("report")
    params:
        **job("table", lambda w: TableSpec(w.kind)),
    shell:
        run_spec("table")


rule compare:
    """Every method against the references, image by image over all seeds."""
    input:
        evaluations=gathered("evaluations"),
    output:
        csv=report(
            PATHS.summary("comparison.csv"),
            caption="../workflow/report/comparison.rst",
            category="Comparison",
            labels={"format": "table"},
        ),
        markdown=PATHS.summary("comparison.md"),
    log:
        PATHS.log("compare"),
    priority: FIRST
    conda:
        environment("report")
    params:
        **page_job("compare"),
    shell:
        run("compare")


rule curves:
    """Security evaluation curves: one overview, one figure per dataset, net and sparsity."""
    input:
        evaluations=gathered("evaluations"),
    output:
        pdf=PATHS.summary("curves.pdf"),
        png=report(
            PATHS.summary("curves.png"),
            caption="../workflow/report/curves.rst",
            category="Curves",
            labels={"figure": "overview"},
        ),
        groups=report(
            directory(PATHS.summary("curves")),
            caption="../workflow/report/curves.rst",
            category="Curves",
            patterns=["{name}.png"],
            labels={"figure": "{name}"},
        ),
    log:
        PATHS.log("curves"),
    priority: FIRST
    conda:
        environment("report")
    params:
        **page_job("curves"),
    shell:
        run("curves")


rule thin_ice:
    """Which images lose their robustness to pruning: distances before and after it."""
    input:
        thin_ice_tables,  # in the specification by their folders: a command line has a limit
    output:
        models=report(
            PATHS.thin_ice(".csv"),
            caption="../workflow/report/thin_ice.rst",
            category="Thin ice",
            labels={"target": "{dataset}, {arch}, {target}", "shows": "models"},
        ),
        images=PATHS.thin_ice(".images.csv"),
        pdf=PATHS.thin_ice(".pdf"),
        png=report(
            PATHS.thin_ice(".png"),
            caption="../workflow/report/thin_ice.rst",
            category="Thin ice",
            labels={"target": "{dataset}, {arch}, {target}", "shows": "figure"},
        ),
    log:
        PATHS.log("thin_ice/{dataset}-{arch}-{target}"),
    priority: FIRST
    conda:
        environment("report")
    params:
        **page_job("thin_ice", lambda w: VERDICTS.thin_ice(thin_ice_models(w), PATHS)),
    shell:
        run_spec("thin_ice")


rule tidy:
    """Tidy tables: a row per model, per model and image, per point of a curve, per layer."""
    input:
        evaluations=gathered("evaluations"),
        costs=PATHS.summary("costs.csv"),
    output:
        models=PATHS.summary("models.csv"),
        parquet=PATHS.summary("models.parquet"),
        images=PATHS.summary("images.csv.gz"),
        images_parquet=PATHS.summary("images.parquet"),
        curves=PATHS.summary("curves.csv"),
        layers=PATHS.summary("layers.csv"),
        tex=PATHS.summary("survey.tex"),
    log:
        PATHS.log("tidy"),
    priority: FIRST
    conda:
        environment("report")
    params:
        **page_job("tidy"),
    shell:
        run("tidy")


rule overlap:
    """How far the masks of methods agree, counted from the saved nets of a dataset and net."""
    input:
        evaluations=PATHS.gathered("evaluations"),
    output:
        out=PATHS.overlap,
    log:
        PATHS.log("overlap/{dataset}/{arch}"),
    priority: FIRST
    conda:
        environment("train")
    params:
        **job("overlap"),
    shell:
        run("overlap")


rule figures:
    """Ranking, where methods prune, trade-offs: figures, and what the page shows of them."""
    input:
        models=PATHS.summary("models.csv"),
        layers=PATHS.summary("layers.csv"),
        overlap=ALL_OVERLAPS,
    output:
        figures=report(
            directory(PATHS.summary("figures")),
            caption="../workflow/report/figures.rst",
            category="Figures",
            patterns=["{name}.png"],
            labels={"figure": "{name}"},
        ),
        ranking=PATHS.section("ranking"),
        pruning=PATHS.section("pruning"),
        tradeoffs=PATHS.section("tradeoffs"),
    log:
        PATHS.log("figures"),
    priority: FIRST
    conda:
        environment("report")
    params:
        **job("figures"),
    shell:
        run("figures")


rule best_known:
    """HO-FMN's curves beside those of the nearest points that anything found."""
    input:
        evaluations=gathered("evaluations"),
        others=gathered("other_attacks") if "other_attacks.csv" in TABLES else [],
    output:
        csv=PATHS.summary("best_known.csv"),
        pdf=PATHS.summary("best_known.pdf"),
        png=PATHS.summary("best_known.png"),
        section=PATHS.section("best_known"),
    log:
        PATHS.log("best_known"),
    priority: FIRST
    conda:
        environment("report")
    params:
        **page_job("best_known"),
    shell:
        run("best_known")


rule agreement:
    """Results beside published ones, and how far the ranks agree."""
    input:
        evaluations=gathered("evaluations"),
    output:
        csv=PATHS.summary("agreement.csv"),
        ranks=PATHS.summary("agreement_ranks.csv"),
        pdf=PATHS.summary("agreement.pdf"),
        png=PATHS.summary("agreement.png"),
        section=PATHS.section("agreement"),
    log:
        PATHS.log("agreement"),
    priority: FIRST
    conda:
        environment("report")
    params:
        **config_job("agreement", "published", "published/leaderboard.csv"),
    shell:
        run("agreement")


rule survey:
    """The survey's questions: the best, what they share, what traits change, what goes wrong."""
    input:
        evaluations=gathered("evaluations"),
    output:
        effects=PATHS.summary("survey_effects.csv"),
        top=PATHS.summary("survey_top.csv"),
        shared=PATHS.summary("survey_shared.csv"),
        issues=PATHS.summary("survey_issues.csv"),
        pdf=PATHS.summary("survey.pdf"),
        png=PATHS.summary("survey.png"),
        section=PATHS.section("survey"),
    log:
        PATHS.log("survey"),
    priority: FIRST
    conda:
        environment("survey")
    params:
        **page_job("survey"),
    shell:
        run("survey")


rule origins:
    """Commit, device, width and dates of the jobs behind every model; they are no columns."""
    input:
        evaluations=gathered("evaluations"),
    output:
        out=PATHS.summary("provenance.csv"),
    log:
        PATHS.log("origins"),
    conda:
        environment("report")
    params:
        **job("origins"),
    shell:
        run("origins")


rule leaderboard:
    """The leaderboard as a table for programs, for papers and for readers."""
    input:
        evaluations=gathered("evaluations"),
        sections=lambda w: measured(SECTIONS)(w) + RELEASED_ROWS,
        thin_ice=ALL_THIN_ICE,
        costs=PATHS.summary("costs.csv"),
        provenance=PATHS.summary("provenance.csv"),
    output:
        csv=report(
            PATHS.summary("leaderboard.csv"),
            caption="../workflow/report/leaderboard.rst",
            category="Leaderboard",
            labels={"format": "table"},
        ),
        html=report(
            PATHS.summary("leaderboard.html"),
            caption="../workflow/report/leaderboard.rst",
            category="Leaderboard",
            labels={"format": "page"},
        ),
        tex=PATHS.summary("leaderboard.tex"),
    log:
        PATHS.log("leaderboard"),
    priority: FIRST
    conda:
        environment("report")
    params:
        **page_job("leaderboard", lambda w: PageSpec(CONFIG["preset"])),
    shell:
        run_spec("leaderboard")
