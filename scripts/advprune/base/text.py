"""Text from outside as every format needs it: the one place for escaping. Without torch.

Names of nets and variants, reasons and warnings come from configurations, files and libraries:
they are data, whatever characters they have. docs/external.md, "Names", says what becomes of them.
"""

import codecs
import io
import unicodedata
from collections.abc import Iterable, Mapping
from typing import TextIO

# what a terminal without UTF-8 is given for signs of ours
PLAIN = {"–": "-", "—": "-", "…": "...", "≤": "<=", "≥": ">=", "±": "+-", "↕": "^v", "≈": "~"}
PLAIN |= {"ε": "eps", "’": "'", "“": '"', "”": '"', "†": "+", "×": "x", "·": ".", "△": "!"}
# with these a spreadsheet begins a formula; the wide ones where Chinese or Japanese is written
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
BLANK = "\u115f\u1160\u2800\u3164\uffa0"  # letters by their kind that have no form: fillers
MARKDOWN = {c: f"\\{c}" for c in "\\`*_[]|~$#"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}

# TeX's commands, so that tables are ASCII and need neither an encoding nor a package
LATEX = {c: rf"\{c}" for c in "&%$#_{}"} | {c: f"{{{c}}}" for c in "[]*`'"}
LATEX |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
LATEX |= {'"': "''", "|": "$|$", "<": "$<$", ">": "$>$", "±": r"$\pm$", "≤": r"$\leq$"}
LATEX |= {"≥": r"$\geq$", "↕": r"$\updownarrow$", "≈": r"$\approx$", "×": r"$\times$"}
LATEX |= {"·": r"$\cdot$", "→": r"$\rightarrow$", "∞": r"$\infty$", "†": r"\dag{}"}
LATEX |= {"–": "--", "—": "---", "…": r"\ldots{}", "’": "{'}", "“": "``", "”": "''"}
LATEX |= {"ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}"}
LATEX |= {"ø": r"\o{}", "Ø": r"\O{}", "ł": r"\l{}", "Ł": r"\L{}", "ı": r"\i{}"}
_GREEK = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi . pi rho . sigma"
_GREEK += " tau upsilon phi chi psi omega"
LATEX |= {chr(0x3B1 + i): rf"$\{name}$" for i, name in enumerate(_GREEK.split()) if name != "."}
ACCENTS = {"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u"}
ACCENTS |= {"\u0307": ".", "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v"}
ACCENTS |= {"\u0327": "c"}


def line(text: str) -> str:
    """The text in one line: spaces for breaks and tabs, nothing for what cannot be seen.

    Invisible characters (of control, of direction, half surrogates) could hide or reorder text.
    """
    visible = "".join(c for c in text if (c.isprintable() or c.isspace()) and c not in BLANK)
    return " ".join(visible.split())


def few(names: Iterable[str], most: int = 3) -> str:
    """The first names of many, each in one line, and how many there are: `a, b, c, … (7)`."""
    found = list(map(line, names))
    return ", ".join(found[:most]) + (f", … ({len(found)})" if len(found) > most else "")


def short(text: str, most: int) -> str:
    """The text, cut with an ellipsis where it has more than `most` characters."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def distinct(names: Mapping[str, str]) -> dict[str, str]:
    """Names by key, in one line each; those that are equal, or empty, told apart by their keys."""
    lines = {key: line(name) for key, name in names.items()}
    found = list(lines.values())
    return {
        key: name if name and found.count(name) == 1 else f"{name} ({key})" if name else key
        for key, name in lines.items()
    }


def markdown(text: str) -> str:
    """The text in a cell of a Markdown table, or anywhere within a line."""
    return "".join(MARKDOWN.get(c, c) for c in line(text))


def latex(text: str, instead: str = "") -> str:
    """The text for TeX, in ASCII; `instead` of a text with letters that TeX cannot set as it is.

    Without `instead`, such letters become question marks.
    """
    parts = [_latex(c) for c in unicodedata.normalize("NFC", line(text))]
    if instead and None in parts:
        return latex(instead)
    return "".join("?" if part is None else part for part in parts)


def _latex(character: str) -> str | None:
    if character in LATEX or character.isascii():
        return LATEX.get(character, character)
    parts = unicodedata.normalize("NFD", character)
    if len(parts) == 2 and parts[0].isascii() and parts[1] in ACCENTS:
        return rf"\{ACCENTS[parts[1]]}{{{parts[0]}}}"
    return None


def cell(text: str) -> str:
    """The text in a CSV table: no spreadsheet takes it for a formula, at the cost of a quote."""
    found = line(text)
    return f"'{found}" if found.startswith(FORMULA) else found


def make_printable(*streams: TextIO) -> None:
    """Let streams write any text, whatever their encoding: what it lacks is replaced."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="advprune")


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(PLAIN.get(c, "?") for c in lacking), error.end


codecs.register_error("advprune", _replaced)
