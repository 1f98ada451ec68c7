"""docs/files.md has the columns that the tables are written with."""

import pytest

from advprune.attacks.verdicts import AUTOATTACK, HOFMN
from advprune.plan.verdicts import CORRUPTIONS
from advprune.report import costs, paired, records, tables
from advprune.report.answers import agreement, best_known, common, effects
from advprune.report.figures import tidy
from helpers.documented import CARD, COLUMNS, FILES, columns_of

OVERLAP = ["dataset", "arch", "structure", "sparsity", "method", "seed", "other"]
OVERLAP += ["other_seed", "kept", "other_kept", "both", "jaccard", "expected"]
MODEL = "digits/resnet18/hydra/unstructured-0.9/seed0"


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("leaderboard.csv", tables.COLUMNS),
        ("comparison.csv", paired.COLUMNS),
        ("costs.csv", [*records.IDENTITY, *costs.COUNTS, *costs.TIMES]),
        ("best_known.csv", best_known.COLUMNS),
        ("agreement.csv", agreement.COLUMNS),
        ("agreement_ranks.csv", agreement.RANKS),
        ("survey_top.csv", common.TOP),
        ("survey_shared.csv", common.TRAITS),
        ("survey_issues.csv", common.ISSUES),
        ("survey_effects.csv", effects.COLUMNS),
        ("models.csv", tidy.MODELS),
        ("images.csv.gz", tidy.IMAGES),
        ("curves.csv", tidy.CURVES),
        ("layers.csv", tidy.LAYERS),
        ("digits/resnet18/overlap.csv", OVERLAP),
        (f"{MODEL}/autoattack-3.csv", list(AUTOATTACK)),
        (f"{MODEL}/hofmn-0.csv", list(HOFMN)),
    ],
)
def test_a_tables_columns_are_those_of_the_page(name, columns):
    assert sorted(columns_of(name)) == sorted(columns)


def test_corruptions_have_a_column_each():
    imagenet_c = pytest.importorskip("advprune.data.imagenet_c")
    names = {name for family in CORRUPTIONS for name in imagenet_c.names(family)}
    listed = set(columns_of("corruptions_means.csv"))
    assert names | {f"severity_{n}" for n in imagenet_c.SEVERITIES} < listed


def test_the_page_tells_one_table_from_another():
    assert "distance_lost" in columns_of("thin_ice/digits-resnet18-filters-0.5.csv")
    assert "official_index" in columns_of("thin_ice/digits-resnet18-filters-0.5.images.csv")
    assert columns_of("another.csv") == [] and len(COLUMNS) > 8 and len(FILES) > 40
    assert {"sha256", "spec", "parents"} <= CARD
