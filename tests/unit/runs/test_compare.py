"""Two runs of the same models: flips are counted on the images that both attacked."""

import pandas as pd
import pytest
from click.testing import CliRunner

from advprune.base.errors import UserError
from advprune.cli.main import main
from advprune.runs.archive import pack
from advprune.runs.compare import cards, common, compared, images
from advprune.runs.models import models
from helpers.finished_runs import make_run


def pairs(tmp_path, **given):
    sides = [make_run(tmp_path / "a"), make_run(tmp_path / "b", **given)]
    return common(*(models(side.name, side) for side in sides))


def test_equal_runs_have_no_differences(tmp_path):
    both = pairs(tmp_path)
    table, changed = compared(both)
    assert len(both) == 2 and len(changed) == 0 and cards(both) == []
    assert (table.filter(like="difference") == 0).all(axis=None)


def test_flips_are_the_images_whose_verdict_differs(tmp_path):
    both = pairs(tmp_path, broken=6)
    table, changed = compared(both)
    assert table["lost"].tolist() == [2, 2] and table["gained"].tolist() == [0, 0]
    assert table["worst_difference"].tolist() == pytest.approx([-1 / 6] * 2)
    assert changed["official_index"].tolist() == [106, 107] * 2
    assert changed["broken_by_first"].isin(["", None]).all()
    assert (changed["broken_by_second"] == "square").all()


def test_images_are_matched_by_their_official_index(tmp_path):
    """The second run has attacked fewer, in another order of its own."""
    both = pairs(tmp_path, official=[110, 102, 100], broken=1)
    table = images(*both[0])
    assert table["official_index"].tolist() == [100, 102, 110]
    assert table["robust_first"].tolist() == [True, True, False]
    assert table["robust_second"].tolist() == [False, True, True]


def test_other_images_are_refused(tmp_path):
    with pytest.raises(UserError, match="not attacked on the same images"):
        images(*pairs(tmp_path, official=[1, 2, 3], broken=1)[0])


def test_a_table_that_is_gone_is_named(tmp_path):
    both = pairs(tmp_path)
    (both[1][1].folder / "hofmn-0.csv").unlink()
    with pytest.raises(UserError, match="seed0: no tables of hofmn"):
        compared(both)


def test_what_differs_in_the_cards_is_said_with_its_number(tmp_path):
    both = pairs(tmp_path, device="NVIDIA H100", batch=100, code={"advprune/attacks/fmn.py": "2"})
    said = dict(cards(both))
    assert said["autoattack: device x86_64, NVIDIA H100"] == 2
    assert said["autoattack: batch 200, 100"] == 2
    assert said["finetune: scripts/advprune/attacks/fmn.py is other code"] == 2
    assert not any("seed" in text or "commit" in text for text in said)


def test_the_command_says_it_all_and_writes_the_flips(tmp_path):
    a = make_run(tmp_path / "a", ("dense", "hydra", "lwm"))
    b = make_run(tmp_path / "b", broken=5, torch="2.15")
    pack(b, tmp_path / "b.zip")

    def run(*words):
        done = CliRunner().invoke(main, ["compare", *map(str, words)])
        return done.exit_code, done.output

    status, said = run(a, tmp_path / "b.zip", "--flips", tmp_path / "flips.csv")
    assert status == 1 and f"only in {a}: lwm, digits" in said
    assert "Worst case -8.3 points; 1 lost and 0 gained of 12 images" in said
    assert "autoattack: torch 2.14, 2.15  (2 of 2 models)" in said
    assert said.endswith("2 of 24 verdicts differ, in 2 models\n")
    assert len(pd.read_csv(tmp_path / "flips.csv")) == 2
    assert run(b, tmp_path / "b.zip")[0] == 0
    status, said = run(b, make_run(tmp_path / "c", ("lwm",)))
    assert status == 2 and "no model in common" in said
