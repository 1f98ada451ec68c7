"""The minimum-norm check: what AutoAttack broke within eps has a distance of at most eps.

Where HO-FMN's distance is larger, HO-FMN has missed a point that exists. The attacks of AutoAttack
that broke such images are run on them again, and FMN starts once more from where they lead.
"""

from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor, nn

from advprune.attacks.autoattack import autoattack
from advprune.attacks.fmn import FmnConfig, fmn
from advprune.attacks.verdicts import robust_at


def missed(broken: pd.DataFrame, distances: pd.DataFrame, eps: float) -> pd.DataFrame:
    """Rows of images that AutoAttack's table has as broken and HO-FMN's has beyond eps."""
    both = broken.merge(distances[["index", "distance"]], on="index", validate="one_to_one")
    return both[~both["robust"] & robust_at(both["distance"], eps)].reset_index(drop=True)


def recheck(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    rows: pd.DataFrame,
    *,
    eps: float,
    steps: int,
    config: FmnConfig,
    seed: int,
    batch_size: int,
    version: str,
) -> list[dict[str, Any]]:
    """Attack the missed images x [N, C, H, W] again; `rows` are theirs, in order.

    One entry per image: `distance_before` is HO-FMN's, which the leaderboard uses (None where no
    point was found), `distance_autoattack` that of AutoAttack's point, `distance_after` what FMN
    makes of it. The last two are None where AutoAttack, with fewer images around it, does not
    break the image again.
    """
    if len(rows) == 0:
        return []
    verdicts = autoattack(
        net,
        x,
        y,
        eps=eps,
        seed=seed,
        batch_size=batch_size,
        version=version,
        attacks=sorted(set(rows["broken_by"])),
    )
    norms = (verdicts.adversarial - x).abs().flatten(1).amax(1)
    again = [
        fmn(net, images, labels, steps=steps, config=config, start=start).distance
        for images, labels, start in zip(
            x.split(batch_size),
            y.split(batch_size),
            verdicts.adversarial.split(batch_size),
            strict=True,
        )
    ]
    distances = [value for part in again for value in part.tolist()]
    return [
        {
            "index": row["index"],
            "official_index": row["official_index"],
            "broken_by": row["broken_by"],
            "distance_before": row["distance"] if np.isfinite(row["distance"]) else None,
            "distance_autoattack": None if robust else norm,
            "distance_after": None if robust else distance,
        }
        for row, robust, norm, distance in zip(
            rows.to_dict("records"),
            verdicts.robust.tolist(),
            norms.tolist(),
            distances,
            strict=True,
        )
    ]
