"""Folders in which a run cannot be."""

import pytest

from advprune.base.errors import UserError
from advprune.plan.machine import check_place


@pytest.mark.parametrize("folder", ["/a/b", "/my repo/it's $x", "/a/{x}/{run_2} b", "/é/[b]*"])
def test_spaces_quotes_and_simple_braces_are_fine(folder):
    check_place(folder)


@pytest.mark.parametrize("folder", ["/a/{1}", "/a/{}/b", "/{a,b}", "/a{", "/b}/c", "/{{x}}/d"])
def test_braces_that_snakemake_cannot_lock_are_one_line(folder):
    with pytest.raises(UserError, match="Snakemake cannot run here for the braces"):
        check_place(folder)
