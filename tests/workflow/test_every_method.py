"""Every method of the repository in one plan: what editing one of them makes stale."""

import pytest

from helpers.checkout import Checkout, every_method_config

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("methods")]
METHODS = every_method_config()["grid"][0]["methods"]
PAGES = {"compare", "table", "curves", "origins", "thin_ice", "leaderboard"}
PAGES |= {"best_known", "agreement", "survey"}
PAGES |= {"tidy", "overlap", "figures"}
SUMMARIES = {"gather"} | PAGES
ATTACKS = {"autoattack", "hofmn_tune", "hofmn", "reliability", "pgd"}
OF_A_MODEL = {"prune", "finetune", "audit", "costs", "evaluate"} | ATTACKS


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    checkout = Checkout(tmp_path_factory.mktemp("methods"), every_method_config())
    checkout.pretend()
    assert checkout.planned() == set()
    return checkout


def halves():
    """Halves of the methods such that any two methods are told apart, in both directions."""
    for bit in range(len(METHODS).bit_length()):
        for side in (0, 1):
            yield [method for i, method in enumerate(METHODS) if i >> bit & 1 == side]


@pytest.mark.parametrize("edited", halves(), ids=lambda half: f"{half[0]}-and-{len(half) - 1}")
def test_editing_methods_plans_their_jobs_only(checkout, edited):
    """Were a method planned for another one's edit, a half without it would plan it."""
    code = {m: checkout.folder / f"scripts/advprune/methods/{m}.py" for m in edited}
    before = {path: path.read_text(encoding="utf-8") for path in code.values()}
    try:
        for path, text in before.items():
            path.write_text(f"{text}\nCHANGED = True\n", encoding="utf-8")
        planned = checkout.planned()
    finally:
        for path, text in before.items():
            path.write_text(text, encoding="utf-8")
    own = {(rule, name.split("/")[4]) for rule, name in planned if rule not in SUMMARIES}
    assert own == {(rule, method) for method in edited for rule in OF_A_MODEL}
    assert {rule for rule, _ in planned} >= SUMMARIES


def test_the_halves_tell_any_two_methods_apart():
    for one in METHODS:
        with_it = [half for half in halves() if one in half]
        assert set.intersection(*map(set, with_it)) == {one}
