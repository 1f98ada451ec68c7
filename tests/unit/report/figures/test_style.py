"""No two methods are ever drawn alike, and each keeps its look."""

from itertools import combinations

import pytest

from advprune.base.errors import UserError
from advprune.report.figures import canvas, style
from advprune.report.records import REFERENCES
from helpers.checkout import shipped_methods


def test_all_pairs_of_the_shipped_methods_and_many_more_differ():
    more = [f"own-{i}" for i in range(200)]
    keys = [*shipped_methods(), *more]
    kinds = {key: key for key in REFERENCES} | {f"lwm-v{i}": "lwm" for i in range(31)}
    dense = ["dense", *(f"dense-v{i}" for i in range(31))]
    looks = style.styles([*keys, *kinds, *dense], dense, kinds)
    assert len(looks) == len({*keys, *kinds, *dense})
    for one, other in combinations(sorted(looks), 2):
        assert looks[one] != looks[other], (one, other)


def test_up_to_forty_methods_differ_by_colour_and_line_and_by_colour_and_marker():
    looks = style.styles([f"own-{i:02}" for i in range(40 - len(style.ORDER))])
    looks |= style.styles(style.ORDER)
    assert len(looks) == 40
    assert len({(s.colour, s.dash) for s in looks.values()}) == 40
    assert len({(s.colour, s.marker) for s in looks.values()}) == 40


def test_every_pruning_method_of_the_survey_has_a_place_of_its_own():
    assert {*style.ORDER, *REFERENCES, "dense"} == set(shipped_methods())
    assert len(style.ORDER) == len(set(style.ORDER))


def test_a_look_does_not_depend_on_what_else_is_drawn():
    alone = style.styles(["hydra", "mine"])
    among = style.styles([*style.ORDER, "mine", "other"], ["dense"], {"lwm": "lwm"})
    assert alone == {key: among[key] for key in alone}
    variants = {"lwm": "lwm", "a-lwm": "lwm"}
    assert style.styles(variants, references=variants)["lwm"] == among["lwm"]


def test_references_and_dense_nets_are_dashed_and_grey():
    looks = style.styles([], ["dense", "dense-trades"], {key: key for key in REFERENCES})
    for look in looks.values():
        assert len({look.colour[i : i + 2] for i in (1, 3, 5)}) == 1
        assert look.dash != "-"
    kinds = [looks[key] for key in ("dense", *REFERENCES)]  # greys alone are too much alike
    assert len({look.marker for look in kinds}) == len({look.dash for look in kinds}) == 4


def test_more_than_can_be_told_apart_are_refused():
    with pytest.raises(UserError, match="320 methods apart"):
        style.styles([f"own-{i}" for i in range(321)])
    kinds = {f"lwm-{i}": "lwm" for i in range(33)}
    with pytest.raises(UserError, match="32 variants of lwm"):
        style.styles([], references=kinds)


def test_colours_are_told_apart_by_who_is_colour_blind():
    """Machado et al. 2009, full deuteranopia and protanopia: distances of linear RGB."""
    deuteranopia = ((0.367, 0.861, -0.228), (0.280, 0.673, 0.047), (-0.012, 0.043, 0.969))
    protanopia = ((0.152, 1.053, -0.205), (0.115, 0.786, 0.099), (-0.004, -0.048, 1.052))

    def seen(colour, matrix):
        rgb = [(int(colour[i : i + 2], 16) / 255) ** 2.2 for i in (1, 3, 5)]
        return [sum(a * b for a, b in zip(row, rgb, strict=True)) for row in matrix]

    for matrix in (deuteranopia, protanopia):
        for one, other in combinations(style.COLOURS, 2):
            pair = seen(one, matrix), seen(other, matrix)
            assert sum((a - b) ** 2 for a, b in zip(*pair, strict=True)) ** 0.5 > 0.05, (one, other)


def test_figures_are_written_in_three_formats_and_no_other(tmp_path):
    from matplotlib.figure import Figure

    with pytest.raises(UserError, match="pdf, png, svg"):
        canvas.save(Figure(), tmp_path / "a.gif")
    assert canvas.svg(Figure()).startswith("<svg ")
