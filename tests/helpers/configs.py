"""The demo's configuration with something changed, and what the plan makes of it."""

import copy

import yaml

from advprune.plan.config import ROOT, load_config
from advprune.plan.protocol import Protocol
from advprune.plan.verdicts import Verdicts

DEMO = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text(encoding="utf-8"))


def changed(path, value):
    """The demo's configuration with one entry set (or removed, for the value None)."""
    config = copy.deepcopy(DEMO)
    *way, last = path.split(".")
    node = config
    for key in way:
        node = node[int(key)] if key.isdigit() else node.setdefault(key, {})
    if value is None:
        del node[last]
    else:
        node[last] = value
    return config


def planned(path, value):
    """Protocol of the demo with one entry changed."""
    return Protocol(load_config(changed(path, value)))


def jobs(config):
    """Every job of a configuration's models with its specification, pretrainings by their names."""
    protocol = Protocol(load_config(copy.deepcopy(config)))
    verdicts = Verdicts(protocol)
    kinds = {"prune": protocol.prune, "finetune": protocol.finetune}
    kinds |= {k: getattr(verdicts, k) for k in ("autoattack", "hofmn_tune", "hofmn", "evaluate")}
    found = {}
    for m in protocol.models:
        found |= {(kind, m): specification(m) for kind, specification in kinds.items()}
        if name := protocol.pretrain_name(m.dataset, m.arch, m.method):
            place = ("pretrain", m.dataset, m.arch, name, m.seed)
            found[place] = protocol.pretrain(m.dataset, m.arch, m.method, m.seed)
    return found
