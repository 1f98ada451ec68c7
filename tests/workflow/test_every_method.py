"""Every method of the repository in one plan: what editing one of them makes stale."""

import pytest

from helpers.checkout import Checkout, every_method_config

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("methods")]
METHODS = every_method_config()["grid"][0]["methods"]
PAGES = {"compare", "table", "curves", "thin_ice", "leaderboard"}
SUMMARIES = {"gather"} | PAGES
ATTACKS = {"autoattack", "hofmn_tune", "hofmn", "reliability", "pgd"}
OF_A_MODEL = {"prune", "finetune", "audit", "costs", "evaluate"} | ATTACKS


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    checkout = Checkout(tmp_path_factory.mktemp("methods"), every_method_config())
    checkout.pretend()
    assert checkout.planned() == set()
    return checkout


@pytest.mark.parametrize("method", METHODS)
def test_editing_one_method_plans_its_jobs_only(checkout, method):
    path = checkout.folder / "scripts" / "advprune" / "methods" / f"{method}.py"
    before = path.read_text(encoding="utf-8")
    try:
        path.write_text(f"{before}\nCHANGED = True\n", encoding="utf-8")
        planned = checkout.planned()
    finally:
        path.write_text(before, encoding="utf-8")
    own = {(rule, name.split("/")[4]) for rule, name in planned if rule not in SUMMARIES}
    assert own == {(rule, method) for rule in OF_A_MODEL}
    assert {rule for rule, _ in planned} >= SUMMARIES
