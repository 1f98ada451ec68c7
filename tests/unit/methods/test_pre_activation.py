"""Every method takes a net whose filters do not all have a BatchNorm of their own."""

from dataclasses import replace

import pytest
import torch

from advprune.compact.convert import agree, compact
from advprune.evaluation.audit import audit
from advprune.methods import base
from advprune.models.registry import build
from advprune.plan.config import known_methods, load_method
from advprune.pruning import masks as mk
from helpers.methods import task_for
from helpers.small import SMALL

REFUSED = ("bnap", "filters")  # by scales of BatchNorm: see test_bnap
CASES = [
    (key, structure)
    for key in known_methods()
    for structure in load_method(key)["structures"]
    if structure != "none" and (key, structure) != REFUSED
]


@pytest.mark.slow
@pytest.mark.parametrize(("key", "structure"), CASES)
def test_a_method_prunes_a_pre_activation_net_to_the_target(key, structure, tmp_path):
    sparsity = 0.8 if structure == "unstructured" else 0.5
    task = task_for(key, tmp_path, structure, sparsity)
    net = build(replace(SMALL, arch="wrn_28_4"), torch.Generator().manual_seed(1))
    method = base.load(key)
    masks = method.prune(net, task)
    mk.apply(net, masks)
    method.finetune(net, masks, task)
    assert mk.violations(net, masks) == []
    assert audit(net.eval(), (1, 8, 8), structure, sparsity)["reasons"] == []
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    agree(net, compact(net, (1, 8, 8)), x)
