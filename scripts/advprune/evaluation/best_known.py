"""The nearest adversarial point that anything has found for an image, and the curve of these.

Every attack gives an upper bound of an image's distance, and the lowest of several bounds is one
too. HO-FMN measures distances, AutoAttack's points lie within eps, and where HO-FMN had missed such
a point, FMN has started from it once more (`attacks.recheck`). Beyond eps only HO-FMN has looked.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from advprune.attacks.verdicts import robust_at
from advprune.evaluation.evaluate import curve

NEARER = 0.999  # nearer by less than a thousandth is nearer by rounding


def nearest(
    autoattack: pd.DataFrame, hofmn: pd.DataFrame, missed: Sequence[Mapping[str, Any]], eps: float
) -> pd.DataFrame:
    """Upper bounds of every image's distance, a column per source, inf where it has none.

    Rows are the images of the attacks' tables, sorted by index. `autoattack` is 0 where the image
    is wrong from the start, and eps where it was broken and nothing nearer is known of that point.
    `missed` are those of the model's reliability.json.
    """
    clean = np.where(autoattack["clean_correct"], eps, 0.0)
    found = pd.DataFrame(
        {
            "hofmn": hofmn["distance"].to_numpy(dtype=float),
            "autoattack": np.where(autoattack["robust"], np.inf, clean),
            "restarted": np.inf,
        },
        index=hofmn["index"].to_numpy(),
    )
    for entry in missed:
        if entry["distance_after"] is not None:
            found.loc[entry["index"], "restarted"] = entry["distance_after"]
            point = min(found.loc[entry["index"], "autoattack"], entry["distance_autoattack"])
            found.loc[entry["index"], "autoattack"] = point
    return found


def summarise(found: pd.DataFrame, eps: float) -> dict[str, Any]:
    """What is said of a model: `found` [images, sources] as `nearest` makes it.

    `accuracy` at eps; `curve` as HO-FMN's; `area` and `hofmn_area`, the mean height of the two
    curves from no perturbation to twice eps, all in [0, 1]; `nearer` counts the images for which
    another source is nearer than HO-FMN by more than a thousandth; `beyond` and `hofmn_beyond` are
    the shares of images without a point within twice eps.
    """
    hofmn, distance = found["hofmn"].to_numpy(), found.min(axis=1).to_numpy()
    return {
        "accuracy": float(robust_at(distance, eps).mean()),
        "curve": curve(distance, eps),
        "area": area(distance, 2 * eps),
        "hofmn_area": area(hofmn, 2 * eps),
        "nearer": int((distance < NEARER * hofmn).sum()),
        "beyond": float(robust_at(distance, 2 * eps).mean()),
        "hofmn_beyond": float(robust_at(hofmn, 2 * eps).mean()),
    }


def area(distance: NDArray[np.float64], radius: float) -> float:
    """Mean height of the curve of these distances between 0 and `radius`, in [0, 1].

    Exact: the integral of the share of distances beyond r, over r up to `radius`, is the mean of
    the distances cut off there.
    """
    return float(np.minimum(distance / radius, 1).mean())
