"""What stands in an external file is found out while the workflow plans, without torch."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from advprune.base import imports
from advprune.base.errors import UserError
from advprune.models.foreign import layouts
from advprune.plan import external
from advprune.plan.config import load_config
from advprune.plan.protocol import Protocol
from advprune.plan.verdicts import Verdicts
from helpers.configs import changed
from helpers.foreign import SPEC, Code, masks_of, net_of, prefixed, state_of
from helpers.released import synthetic

MOMENTS = {"mean": [0.3], "std": [0.4]}


def protocol(path, **more):
    entry = {"path": str(path), "dataset": "digits", "arch": "resnet18"} | MOMENTS | more
    return Protocol(load_config(changed("external", {"mine": entry})))


def conversion(path, **more):
    planned = protocol(path, **more)
    return planned.convert(next(m for m in planned.models if m.method == "external-mine"))


def check(path, **more):
    planned = protocol(path, **more)
    nets = {m: planned.net(e["dataset"], e["arch"]) for m, e in planned.external.items()}
    external.check_files(planned.external, nets)


@pytest.fixture
def state():
    return state_of(net_of(spec=replace(SPEC, width=8)))  # as the demo's


def test_a_good_file_is_taken(tmp_path, state):
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "net.pt")
    check(tmp_path / "net.pt")


def state_of_width_4(_):
    return state_of(net_of())


@pytest.mark.parametrize(
    ("content", "more", "message"),
    [
        (lambda s: {"net": s, "ema": s | {"fc.bias": torch.ones(10)}}, {}, "say which one by key"),
        (lambda s: {"net": s, "masks": masks_of(s)}, {}, "masks: apply, or masks: leave"),
        (lambda s: prefixed("a.", s) | prefixed("b.", s), {"rename": {"^[ab].": ""}}, "one name"),
        (lambda s: {"net": s, "model": Code()}, {}, "run code of"),
        (lambda s: s | {"fc.weight": s["fc.weight"].char()}, {}, r"fc.weight .*\(int8\)"),
        (lambda s: {"net": s}, {"key": "ema"}, "no state dict at key 'ema'"),
        (
            lambda s: {"a.b": s, "a": {"b": s | {"x": s["fc.bias"]}}},
            {"key": "a.b"},
            "2 state dicts at",
        ),
        (lambda s: {b"net": s}, {}, "holds no state_dict; it holds b'net'"),
        (lambda s: s | {"fc.weight": s["fc.weight"].to(torch.float8_e5m2)}, {}, r"\(float8_e5m2\)"),
        (lambda s: s | {"fc.bias": torch.ones(9)}, {}, r"fc\.bias is \[9\] instead of \[10\]$"),
        (state_of_width_4, {}, r"conv1\.weight is \[4, 1, 3, 3\] instead of .* \(101 tensors"),
        (lambda s: s, {"rename": {"^fc": "head"}}, "it lacks fc.bias, lacks fc.weight of resnet18"),
    ],
)
def test_a_choice_is_asked_for_before_any_job(tmp_path, state, content, more, message):
    torch.save(content(state), tmp_path / "net.pt")
    with pytest.raises(UserError, match=rf"config: external\.mine\.path: .*{message}") as error:
        check(tmp_path / "net.pt", **more)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git-lfs pointer"),
        (b"<!doctype html><title>Login</title>", "a web page"),
        (b"", "empty"),
    ],
)
def test_what_is_no_checkpoint_is_named_before_any_job(tmp_path, content, message):
    (tmp_path / "net.pt").write_bytes(content)
    with pytest.raises(UserError, match=rf"external\.mine\.path: .*{message}"):
        check(tmp_path / "net.pt")


def test_a_file_that_its_library_will_not_read_is_refused_before_any_job(tmp_path, state):
    path = tmp_path / "net.pt"
    torch.save(state, path, pickle_protocol=4)
    with pytest.raises(UserError, match="without another pickle_protocol"):
        check(path)
    save_file(state, path)
    content = path.read_bytes()
    size = 8 + int.from_bytes(content[:8], "little")
    for key, value in (("shape", [20]), ("dtype", "F16"), ("data_offsets", [0, 40])):
        header = json.loads(content[8:size])
        header["fc.bias"][key] = value
        text = json.dumps(header).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + content[size:])
        with pytest.raises(UserError, match=r"damaged .* does not lie where its header says"):
            check(path)


def test_a_file_with_braces_in_its_name_is_refused(tmp_path):
    with pytest.raises(UserError, match="braces are Snakemake's wildcards"):
        check(tmp_path / "net{best}.pt")


def test_the_choices_stand_in_the_jobs_specification_and_only_where_they_are_made(tmp_path):
    plain = conversion("net.pt")
    assert (plain.key, plain.masks, plain.scores, plain.moments) == (None,) * 4
    pruned = {"structure": "unstructured", "sparsity": 0.9}
    found = conversion("net.pt", key="ema", scores="apply", **pruned)
    assert (found.key, found.scores, found.sparsity) == ("ema", "apply", 0.9)
    left = conversion("net.pt", scores="leave", **pruned)
    assert left.sparsity == 0.0
    with pytest.raises(UserError, match="structure: unstructured"):
        protocol("net.pt", scores="apply", structure="filters", sparsity=0.5)


def test_planning_reads_files_without_torch():
    code = (
        "import sys; from advprune.plan import external;"
        "assert not {'torch', 'safetensors'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=imports.SCRIPTS, check=True)


def test_a_file_of_other_names_is_refused_with_the_nearest_layout_before_any_job(tmp_path, state):
    torch.save({f"{name}_": tensor for name, tensor in state.items()}, tmp_path / "net.pt")
    with pytest.raises(UserError, match=r"it lacks .* of resnet18; .* nearest is "):
        check(tmp_path / "net.pt")


def test_a_layouts_file_must_be_of_the_entrys_net(tmp_path):
    synthetic("hydra-resnet18", tmp_path / "net.pt", 16, sizes=(10, 1))
    with pytest.raises(UserError, match=r"external\.mine\.path: .* has width 4, and the config"):
        check(tmp_path / "net.pt", layout="hydra")


def test_moments_are_left_to_the_layout_and_to_the_job(tmp_path):
    entry = {"path": "net.pt", "dataset": "digits", "arch": "resnet18", "layout": "mad"}
    planned = Protocol(load_config(changed("external", {"mine": entry})))
    (model,) = (m for m in planned.models if m.method == "external-mine")
    found = planned.convert(model)
    assert (found.mean, found.layout, found.layouts) == ((), "mad", layouts.digest())
    with pytest.raises(UserError, match="mean and std, or neither"):
        Protocol(load_config(changed("external", {"mine": entry | {"mean": [0]}})))


def test_layouts_are_no_matter_where_an_entry_says_how_to_read():
    assert conversion("net.pt", rename={"^linear": "fc"}).layouts == ""
    with pytest.raises(UserError, match="layout says what rename"):
        protocol("net.pt", layout="mad", rename={"^linear": "fc"})


def test_claims_go_where_verdicts_are_counted():
    planned = protocol("net.pt", clean=0.8, robust=0.4)
    (model,) = (m for m in planned.models if m.method == "external-mine")
    assert Verdicts(planned).evaluate(model).claims == {"clean": 0.8, "robust": 0.4}
    with pytest.raises(UserError, match="clean"):
        protocol("net.pt", clean=80)
