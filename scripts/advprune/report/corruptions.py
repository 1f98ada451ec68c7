"""Means over common corruptions: per corruption, per severity, over all."""

import pandas as pd

from advprune.report.records import IDENTITY


def means(table: pd.DataFrame) -> pd.DataFrame:
    """One row per model: mean accuracies in [0, 1] of a long table of `IDENTITY` and accuracies.

    `clean` is the accuracy on the same images as they are (severity 0), `mean` that over all
    corruptions and severities, then follow the means of each severity and of each corruption.
    """
    clean = table[table["severity"] == 0].set_index(IDENTITY)["accuracy"]
    rest = table[table["severity"] != 0]

    def mean(*by: str) -> pd.Series:
        return rest.groupby([*IDENTITY, *by], sort=False)["accuracy"].mean()

    severities = mean("severity").unstack().add_prefix("severity_")
    parts = [clean.rename("clean"), mean().rename("mean"), severities, mean("corruption").unstack()]
    found = pd.concat(parts, axis=1).round(12)  # sums depend on their order in the last digits
    images = rest.groupby(IDENTITY)["images"].first()
    return found.assign(images=images).reset_index()
