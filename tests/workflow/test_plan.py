"""What a newcomer sees before anything runs."""

import os
import re
import resource
import subprocess
import sys

import pytest
import yaml

from advprune.plan.config import load_config
from advprune.plan.protocol import Protocol
from helpers.checkout import ROOT, Checkout, tiny_config, tracked


@pytest.fixture
def snakemake(tmp_path):
    """Function that runs Snakemake with the repository's own configurations, and no results."""
    folder = Checkout(tmp_path / "repo", {}).folder

    def run(*arguments):
        command = [sys.executable, "-m", "snakemake", *arguments]
        environment = os.environ | {"COLUMNS": "200"}
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "file", "seconds"),
    [((), "config.yaml", 30), (("--configfile", "config/all.yaml"), "all.yaml", 60)],
)
def test_the_large_grids_plan_in_a_minute(snakemake, arguments, file, seconds):
    """Of CPU time, because tests run beside it; the paper's, the default one, in half of it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = snakemake("-n", "--quiet", *arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    config = load_config(yaml.safe_load((ROOT / "config" / file).read_text(encoding="utf-8")))
    models = len(Protocol(config).models)
    assert f"{config['preset']}: {models} models on" in done.stderr
    assert re.search(rf"finetune\s+{models}\b", done.stdout + done.stderr)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < seconds


def test_a_full_size_grid_on_a_cpu_is_warned_of(snakemake):
    data = "results/paper/cifar10/train.safetensors"  # planning all would take a minute
    done = snakemake("-n", data, "--config", "device=cpu")
    assert "warning: nets of full size on a CPU" in done.stderr


@pytest.mark.parametrize(("device", "gpu", "minutes"), [("auto", 1, 480), ("cpu", 0, 1440)])
def test_jobs_on_slurm_ask_for_a_gpu_unless_the_cluster_has_none(snakemake, device, gpu, minutes):
    profile = ("--workflow-profile", "workflow/profiles/slurm", "--config", f"device={device}")
    done = snakemake("-n", "--configfile", "config/demo.yaml", *profile)
    assert done.returncode == 0, done.stderr  # the groups are valid, among others
    assert "demo: 10 models on the cluster" in done.stderr
    finetuning = re.search(r"rule finetune:.*?resources: ([^\n]*)", done.stdout + done.stderr, re.S)
    assert {f"runtime={minutes}", f"gpu={gpu}"} <= set(finetuning[1].split(", "))


def test_a_bad_configuration_stops_before_any_job(tmp_path):
    config = tiny_config()
    config["grid"][0]["methods"] = ["hydro"]
    done = Checkout(tmp_path / "repo", config).snakemake("--cores", "1", check=False)
    assert done.returncode != 0
    assert "unknown method 'hydro' (known: " in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "repo/results").exists()


@pytest.mark.slow
def test_missing_data_is_one_line_that_names_data_root_before_any_job(tmp_path):
    config = tiny_config()
    config["data_root"] = str(tmp_path / "nowhere")
    entry = config["datasets"].pop("digits") | {"limits": {"train": 64, "val": 16, "test": 10}}
    config["datasets"] = {"cifar10": entry}
    config["grid"][0]["datasets"] = ["cifar10"]
    done = Checkout(tmp_path / "repo", config).snakemake("--cores", "1", check=False)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert done.stderr.count(f"config: data_root: {tmp_path}/nowhere: no such folder") == 1
    assert not (tmp_path / "repo/results").exists()


def rule_bodies():
    for path in tracked("rules"):
        for body in re.split(r"^rule ", path.read_text(encoding="utf-8"), flags=re.M)[1:]:
            yield body.split(":", 1)[0], body


@pytest.mark.parametrize(("name", "body"), list(rule_bodies()), ids=[n for n, _ in rule_bodies()])
def test_every_rule_has_a_docstring_a_log_an_environment_and_tracked_code(name, body):
    for part in ('"""', "log:", "conda:", "job(", "run"):
        assert part in body, f"{name} lacks {part}"
