"""Text from outside as every format needs it. The one place for escaping; without torch.

Names of nets and variants, reasons and warnings come from configurations, files and libraries:
they are data, whatever characters they have. docs/external.md, "Names", says what becomes of them.
"""

from collections.abc import Iterable


def line(text: str) -> str:
    """The text in one line: spaces for breaks and tabs, nothing for what cannot be seen.

    Invisible characters (of control, of direction, half surrogates) could hide or reorder text.
    """
    visible = (c for c in " ".join(text.split()) if c.isprintable())
    return "".join(visible)


def few(names: Iterable[str], most: int = 3) -> str:
    """The first names of many, and how many there are: `a, b, c, … (7)`."""
    found = list(names)
    return ", ".join(found[:most]) + (f", … ({len(found)})" if len(found) > most else "")
