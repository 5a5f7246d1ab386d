"""What is odd about the authors' prompt files: reported in a table, never mended."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from ear.prompts.naming import named
from ear.prompts.published import PAIR_FORMATS, PROMPT_FORMATS, Format, read_texts

ODD_COLUMNS = ["file", "row", "column", "finding", "text"]

Finding = tuple[int, str, str]  # row of the file from 0, column of our tables, what was found


def odd_rows(
    pairs_file: str | Path, target_file: str | Path, general_file: str | Path, words: Sequence[str]
) -> pd.DataFrame:
    """Look through the files of one concept: all rows of them, whether they are used or not.

    Found are blanks at either end, characters that do not print, repeated prompts, safe prompts that equal
    their twin or differ from it in more than the concept, test prompts that are trained on, and prompts that
    name the concept, or do not, against what they should do. Of the general prompts only those that name the
    concept are reported: two pictures of COCO may well have the same caption.

    Args:
        pairs_file: training pairs.
        target_file: test prompts.
        general_file: general prompts.
        words: how a prompt names the concept (``ear.prompts.naming``). Where a pair says itself which word
            its concept is, that word is looked for as well.

    Returns:
        ``ODD_COLUMNS``: file and column by the names that their authors gave, row from 0, the finding in
        words, the text; in the order of the files and of their rows.

    Raises:
        InputError: a file cannot be read (``ear.prompts.published.read_texts``).
    """
    pairs, pair_format = read_texts(pairs_file, PAIR_FORMATS)
    targets, target_format = read_texts(target_file, PROMPT_FORMATS)
    general, general_format = read_texts(general_file, PROMPT_FORMATS)
    of_pairs = [
        *_form(pairs, "unsafe_prompt"),
        *_form(pairs, "safe_prompt"),
        *_unnamed(pairs, "unsafe_prompt", words),
        *_naming(pairs, "safe_prompt", words),
        *_twins(pairs),
    ]
    if "concept" in pairs:
        of_pairs += _own_concept(pairs, words)
    of_targets = [
        *_form(targets, "prompt"),
        *_unnamed(targets, "prompt", words),
        *_trained_on(targets, pairs),
    ]
    of_general = _naming(general, "prompt", words)
    return pd.concat(
        [
            _table(pairs_file, pairs, pair_format, of_pairs),
            _table(target_file, targets, target_format, of_targets),
            _table(general_file, general, general_format, of_general),
        ],
        ignore_index=True,
    )


def _form(texts: pd.DataFrame, column: str) -> Iterator[Finding]:
    """Blanks at the ends, characters that do not print, and texts that were there before."""
    first: dict[str, int] = {}
    for row, text in enumerate(texts[column]):
        if text[0].isspace():
            yield row, column, "begins with a blank"
        if text[-1].isspace():
            yield row, column, "ends with a blank"
        if hidden := sorted({f"U+{ord(sign):04X}" for sign in text if not sign.isprintable()}):
            yield row, column, f"holds {', '.join(hidden)}"
        if first.setdefault(text, row) != row:
            yield row, column, f"repeats row {first[text]}"


def _unnamed(texts: pd.DataFrame, column: str, words: Sequence[str]) -> Iterator[Finding]:
    for row, text in enumerate(texts[column]):
        if not named(text, words):
            yield row, column, f"does not name {' or '.join(map(repr, words))}"


def _naming(texts: pd.DataFrame, column: str, words: Sequence[str]) -> Iterator[Finding]:
    for row, text in enumerate(texts[column]):
        if found := named(text, words):
            yield row, column, f"names {' and '.join(map(repr, found))}"


def _own_concept(pairs: pd.DataFrame, words: Sequence[str]) -> Iterator[Finding]:
    """The same of the word that a pair gives as its concept, where that is none of ``words``."""
    known = {word.lower() for word in words}
    sides = zip(pairs["concept"], pairs["unsafe_prompt"], pairs["safe_prompt"], strict=True)
    for row, (concept, unsafe, safe) in enumerate(sides):
        if concept.lower() not in known:
            yield row, "concept", f"is not {' or '.join(map(repr, words))}"
            if not named(unsafe, [concept]):
                yield row, "unsafe_prompt", f"does not name {concept!r}, its own concept"
            if named(safe, [concept]):
                yield row, "safe_prompt", f"names {concept!r}, its own concept"


def _twins(pairs: pd.DataFrame) -> Iterator[Finding]:
    """Safe prompts that are not the unsafe one with the concept replaced, where the file says by what."""
    for row, pair in enumerate(pairs.to_dict("records")):
        unsafe, safe = pair["unsafe_prompt"], pair["safe_prompt"]
        if safe == unsafe:
            yield row, "safe_prompt", "equals the unsafe prompt"
        elif "replacement" in pair and safe != unsafe.replace(pair["concept"], pair["replacement"]):
            yield row, "safe_prompt", f"differs from the unsafe prompt in more than {pair['concept']!r}"


def _trained_on(targets: pd.DataFrame, pairs: pd.DataFrame) -> Iterator[Finding]:
    for side in ("unsafe_prompt", "safe_prompt"):
        rows: dict[str, int] = {text: row for row, text in reversed(list(enumerate(pairs[side])))}
        for row, text in enumerate(targets["prompt"]):
            if text in rows:
                yield row, "prompt", f"is the {side.replace('_', ' ')} of training row {rows[text]}"


def _table(
    path: str | Path, texts: pd.DataFrame, columns: Format, findings: Iterable[Finding]
) -> pd.DataFrame:
    rows = [
        (Path(path).name, row, columns[role], finding, texts[role].iloc[row])
        for row, role, finding in sorted(findings)
    ]
    return pd.DataFrame(rows, columns=ODD_COLUMNS)
