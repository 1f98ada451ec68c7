"""Methods take nets of other forms: filters without a BatchNorm of their own, another head."""

from dataclasses import replace

import pytest
import torch

from advprune.compact.convert import agree, compact
from advprune.evaluation.audit import audit
from advprune.methods import base
from advprune.models.registry import build
from advprune.pruning import masks as mk
from helpers.methods import task_for
from helpers.nets import NETS
from helpers.small import SMALL

# one of each mechanism; all others were tried once by hand, and all but BNAP's filters take it
CASES = [
    ("hydra", "unstructured"),
    ("mad", "unstructured"),
    ("flyingbird", "unstructured"),
    ("twinrep", "filters"),
    ("luo23", "filters"),
    ("taylor", "filters"),
    ("harp", "channels"),
    ("srgkp", "kernels"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("key", "structure"), CASES)
@pytest.mark.parametrize("name", ["preact_resnet18", "vgg16-max", "wrn_28_4"])
def test_a_method_prunes_a_net_of_another_form_to_the_target(name, key, structure, tmp_path):
    sparsity = 0.8 if structure == "unstructured" else 0.5
    task = task_for(key, tmp_path, structure, sparsity)
    net = build(replace(SMALL, **NETS[name]), torch.Generator().manual_seed(1))
    method = base.load(key)
    masks = method.prune(net, task)
    mk.apply(net, masks)
    method.finetune(net, masks, task)
    assert mk.violations(net, masks) == []
    assert audit(net.eval(), (1, 8, 8), structure, sparsity)["reasons"] == []
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    agree(net, compact(net, (1, 8, 8)), x)
