"""Text from outside, as every format needs it."""

import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from advprune.base import text


@given(st.text())
@example("0\r\u200b\r0")  # an invisible letter between two breaks
def test_any_text_becomes_one_visible_line_and_stays_it(any_text):
    found = text.line(any_text)
    assert found.isprintable() and text.line(found) == found == found.strip()
    found.encode("utf-8")


@given(st.text())
def test_any_text_is_set_by_tex_in_ascii_with_balanced_braces(any_text):
    made = text.latex(any_text)
    assert made.isascii()
    plain = made.replace(r"\{", "").replace(r"\}", "")
    assert plain.count("{") == plain.count("}")


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("a_b & 5 %", r"a\_b \& 5 \%"),
        ("[x]", "{[}x{]}"),
        ("\\input{x}", r"\textbackslash{}input\{x\}"),
        ("Å e\u0301 ç ő", r"\r{A} \'{e} \c{c} \H{o}"),
        ("ß ł α ±", r"\ss{} \l{} $\alpha$ $\pm$"),
        ("名", "?"),
    ],
)
def test_tex_is_given_its_own_commands(given, made):
    assert text.latex(given) == made


def test_the_key_stands_for_a_name_that_tex_cannot_set():
    assert text.latex("名前 1", "my_net") == r"my\_net"
    assert text.latex("Net 1", "my_net") == "Net 1"


def test_equal_names_are_told_apart_and_empty_ones_have_their_key():
    given = {"a": "Net", "b": "Net ", "c": "", "d": "Other"}
    assert text.distinct(given) == {"a": "Net (a)", "b": "Net (b)", "c": "c", "d": "Other"}


@given(st.text())
def test_no_cell_begins_a_formula(any_text):
    assert not text.cell(any_text).startswith(text.FORMULA)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "utf-8"])
def test_a_stream_of_any_encoding_takes_any_text(encoding, any_text):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    text.make_printable(stream)
    stream.write(any_text + "–…↕")
    stream.flush()


def test_first_names_of_many_are_one_line():
    assert text.few(["a\nb", "\ud800c\u202e", "d", "e"]) == "a b, c, d, … (4)"


def test_a_formula_is_none_in_wide_letters_either():
    assert text.cell("＝1+1") == "'＝1+1"


def test_a_name_of_letters_without_a_form_is_none():
    assert text.line("\u3164\u2800\u115f") == ""
    assert text.distinct({"a": "\u3164", "b": "B\u3164"}) == {"a": "a", "b": "B"}
