"""The lock keeps two runs from one file, and lets runs of two presets be."""

import pytest

from helpers.checkout import Checkout, tiny_config

pytestmark = pytest.mark.slow


def test_a_second_run_of_one_preset_is_told_and_another_preset_runs(tmp_path):
    checkout = Checkout(tmp_path / "repo", tiny_config())
    lock = checkout.folder / ".snakemake/locks/0.output.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("results/tiny/digits/test.safetensors\n", encoding="utf-8")
    target = "results/tiny/digits/test.safetensors"
    refused = checkout.snakemake("--cores", "1", target, check=False)
    assert refused.returncode and "Directory cannot be locked" in refused.stderr
    assert "--unlock" in refused.stderr and not (checkout.folder / target).exists()
    assert checkout.snakemake("-n", "--nolock", target).returncode == 0
    other = "results/other/digits/test.safetensors"
    checkout.configure(tiny_config() | {"preset": "other"})
    checkout.snakemake("--cores", "1", other)
    assert (checkout.folder / other).exists()
