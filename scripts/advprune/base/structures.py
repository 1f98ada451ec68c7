"""Names of what can be pruned, for everything that must not import torch.

`pruning.structures` says what each name means; a dense net's structure is "none".
"""

STRUCTURED = ("filters", "channels", "kernels")
STRUCTURES = ("unstructured", *STRUCTURED)
