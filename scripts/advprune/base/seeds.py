"""Seeds: every consumer of randomness derives its own from the run's base seed.

Deriving by name instead of drawing in sequence makes results independent of the order in which
things happen, of parallelism and of the point at which a run was resumed.
"""

import hashlib

import torch


def derive(base: int, *names: str | int) -> int:
    """Seed in [0, 2**63) that belongs to `names` under the base seed `base`."""
    text = "\x1f".join([str(base), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(base: int, *names: str | int, device: str | torch.device = "cpu") -> torch.Generator:
    """Random generator on `device`, seeded by `derive(base, *names)`."""
    return torch.Generator(device=device).manual_seed(derive(base, *names))
