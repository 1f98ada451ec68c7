"""The nets that tests go through: all that there are, those with options in other forms too."""

from typing import Any

from advprune.models.names import known_nets

VARIED: dict[str, dict[str, Any]] = {
    "vgg16-max": {"arch": "vgg16", "final_pool": "max", "hidden": ()},
    "vgg16-mean-12": {"arch": "vgg16", "final_pool": "mean", "hidden": (12,)},
}
# names to the fields of a description (`NetSpec`) that they differ in
NETS: dict[str, dict[str, Any]] = {name: {"arch": name} for name in known_nets()} | VARIED
PRE_ACTIVATION = ("preact_resnet18", "wrn_28_10", "wrn_28_4")
