"""What arrived: a checkpoint of the layout and net that were announced, or why it is none."""

from typing import Any

from advprune.base.errors import UserError
from advprune.models.foreign.chosen import moments
from advprune.models.foreign.convert import convert
from advprune.models.foreign.match import Match, disagreement
from advprune.models.foreign.outline import Outline
from advprune.models.foreign.reading import Asked
from advprune.models.foreign.recognise import recognise
from advprune.models.registry import NetSpec
from advprune.models.released.kinds import NotAvailableError, without


def match(found: Outline, method: str, net: Any, sparsity: float) -> Match:
    """The layout of a file that must be a method's and hold a net like `net`, else an error.

    `net` has the fields of `NetSpec` but the moments of its images. The net is made once, for what
    a file's numbers contradict (masks that are not in its weights, other moments than its
    layout's) is no reason to end a run either. `sparsity` is the share that scores remove.
    """
    try:
        recognised = recognise(found, method)
        if differs := disagreement(recognised, vars(net)):
            raise NotAvailableError(f"another net than announced: {differs}")
        asked = Asked(layout=method)
        (mean, std), _ = moments(recognised, asked, net.channels)
        convert(found.path, NetSpec.of(net, mean=mean, std=std), asked, sparsity)
    except UserError as error:
        raise NotAvailableError(without(found.path, error)) from None
    return recognised
