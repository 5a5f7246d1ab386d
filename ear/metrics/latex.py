"""LaTeX tables for a page of two columns: booktabs, small type, a value with the ends of its interval."""

from collections.abc import Sequence

import numpy as np

_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {
    sign: rf"\{sign}" for sign in "&%$#_{}"
}
PACKAGES = ("booktabs",)
"""What a document must load."""


def escape(text: str) -> str:
    """The text with LaTeX's special characters escaped."""
    return "".join(_SPECIAL.get(sign, sign) for sign in text)


def cell(value: float, low: float, high: float, decimals: int, bold: bool = False) -> str:
    """A value with the ends of its interval above and below the line; "--" for NaN."""
    if np.isnan(value):
        return "--"
    text = f"{value:.{decimals}f}"
    shown = rf"\mathbf{{{text}}}" if bold else text
    ends = "" if np.isnan(low) else rf"\mkern1mu^{{{high:.{decimals}f}}}_{{{low:.{decimals}f}}}"
    return f"${shown}{ends}$"


def tabular(
    headings: Sequence[Sequence[str]], blocks: Sequence[Sequence[Sequence[str]]], names: int, gap: int = 3
) -> str:
    r"""A ``tabular`` in small type, as wide as its contents: ``\input`` it in a ``table*``.

    Args:
        headings: of each column, the lines of its heading, escaped.
        blocks: rows of cells, escaped, with a line between the blocks.
        names: number of first columns that are names, set to the left.
        gap: half the space between columns, points.
    """
    depth = max(map(len, headings))
    padded = [[*[""] * (depth - len(lines)), *lines] for lines in headings]
    lines = [
        rf"\begingroup\footnotesize\setlength{{\tabcolsep}}{{{gap}pt}}\renewcommand{{\arraystretch}}{{1.3}}%",
        rf"\begin{{tabular}}{{@{{}}{'l' * names}{'c' * (len(headings) - names)}@{{}}}}",
        r"\toprule",
        *(_row([rf"\scriptsize {lines[number]}" for lines in padded]) for number in range(depth)),
    ]
    for block in blocks:
        lines += [r"\midrule", *map(_row, block)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}\endgroup"]) + "\n"


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
