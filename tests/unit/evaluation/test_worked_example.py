"""The worked example of docs/extending.md: WRN-28-4 from the images to the compact copy."""

from dataclasses import replace

import pytest

from advprune.base.seeds import generator
from advprune.compact.convert import agree, compact
from advprune.compact.layers import Compact
from advprune.data.batches import Augment, to_float
from advprune.data.prepare import prepare
from advprune.evaluation.audit import audit
from advprune.methods import base
from advprune.models.checkpoint import load_checkpoint, save_checkpoint
from advprune.models.registry import NetSpec, build
from advprune.plan.methods import load_method
from advprune.plan.specs import Recipe, Threat
from advprune.pruning import masks as mk
from advprune.training.loop import Trainer
from advprune.training.objectives.fgsm import Fgsm

RECIPE = Recipe(epochs=1, batch=32, lr=0.05, schedule="constant")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    limits = {"train": 256, "val": 32, "test": 16}
    return prepare("digits", data_root=None, cache=tmp_path_factory.mktemp("c"), limits=limits)


@pytest.fixture(scope="module")
def pretrained(digits, tmp_path_factory):
    """A WRN-28-4 of width 4 after an epoch, as a file, with what trains it further."""
    data, threat = digits[0], Threat(0.1, 0.1, 1)
    folder = tmp_path_factory.mktemp("pretrained")
    spec = NetSpec("wrn_28_4", 4, **data.net_fields())
    net = build(spec, generator(0, "init"))
    trainer = Trainer(data.train, data.val, Augment(data.pad, data.flip), threat, 0, folder)
    before = net.conv1.weight.detach().clone()
    history = trainer.fit(net, Fgsm(threat), RECIPE, "pretrain")
    assert len(history) == 1 and not net.conv1.weight.equal(before)
    save_checkpoint(folder / "net.safetensors", net, spec)
    return folder / "net.safetensors", trainer


@pytest.mark.parametrize("structure", load_method("random")["structures"])
def test_wrn_is_pruned_in_every_structure_audited_and_compacted(
    structure, digits, pretrained, tmp_path
):
    path, trainer = pretrained
    loaded, sparsity = load_checkpoint(path), 0.9 if structure == "unstructured" else 0.5
    task = base.Task(
        structure=structure,
        sparsity=sparsity,
        params={},
        objectives={"finetune": Fgsm(trainer.threat)},
        recipes={"finetune": RECIPE},
        trainer=replace(trainer, state_dir=tmp_path),
        final="finetune",
    )
    method, net = base.load("random"), loaded.net
    masks = method.prune(net, task)
    mk.apply(net, masks)
    method.finetune(net, masks, task)
    assert mk.violations(net, masks) == []
    save_checkpoint(tmp_path / "net.safetensors", net, loaded.spec, masks)
    net = load_checkpoint(tmp_path / "net.safetensors").net
    assert audit(net, (1, 8, 8), structure, sparsity)["reasons"] == []
    small = compact(net, (1, 8, 8))
    assert isinstance(small, Compact)
    agree(net, small, to_float(digits[1].test.images))
