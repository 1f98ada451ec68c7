"""What the marks of possibly unreliable models mean; docs/reliability.md says more."""

from advprune.report.records import Record, percent

# key of `reliability.SHARES` that can be marked: (label, explanation)
MARKS = {
    "disagreement": (
        "attacks disagree",
        "AutoAttack and HO-FMN do not give the same verdict at eps on more than 5 % of the images. "
        "One of them has missed points that the other found, so both may have missed more.",
    ),
    "square_alone": (
        "Square alone",
        "Images that only Square broke, which sees no gradients. More than 0.2 % is AutoAttack's "
        "own sign that gradients lead its white-box attacks astray.",
    ),
    "unavailable_gradients": (
        "unavailable gradients",
        "The gradient that the attacks climb is zero, not finite or cannot be had.",
    ),
    "unstable_predictions": (
        "unstable predictions",
        "Points within 0.001 of the image change the loss by more than a tenth on average, as in "
        "nets that answer at random.",
    ),
    "silent_success": (
        "silent success",
        "FMN asked about an adversarial point within eps, but reported a larger distance.",
    ),
    "incomplete_optimisation": (
        "incomplete optimisation",
        "PGD failed within eps while its loss was still falling: more than 5 % of the whole fall "
        "happened in the last 10 steps.",
    ),
    "transfer_failure": (
        "transfer failure",
        "FMN's adversarial point for the compact net that is attacked is classified "
        "correctly by the saved net that is meant.",
    ),
    "unconstrained_failure": (
        "unconstrained failure",
        "PGD finds no adversarial point even where any image at all is allowed: the attack fails "
        "for another reason than robustness.",
    ),
}


def marked(row: Record) -> list[tuple[str, str]]:
    """(key, label with the share of images in %) of the signs marked in a leaderboard row."""
    keys = [key for key in str(row["reliability"]).split("; ") if key]
    return [(key, f"{MARKS[key][0]} {percent(row[key])} %") for key in keys]
