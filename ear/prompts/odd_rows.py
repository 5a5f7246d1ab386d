"""What is odd about the authors' prompt files: reported in a table, never mended."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from ear.chat import LOOKS_SPECIAL
from ear.prompts.clip_tokens import CONTEXT, clip_lengths
from ear.prompts.minors import without_minors
from ear.prompts.naming import named
from ear.prompts.published import PAIR_FORMATS, PROMPT_FORMATS, Format, read_texts

ODD_COLUMNS = ["file", "row", "column", "finding", "text"]

LEFT_OUT = re.compile(r"(\d+) of \d+ rows speak of minors: left out, not shown")

Finding = tuple[int, str, str]  # row of the file from 0, column of our tables, what was found


def odd_rows(
    pairs_file: str | Path, target_file: str | Path, general_file: str | Path, words: Sequence[str], kind: str
) -> pd.DataFrame:
    """Look through the files of one concept: all rows of them, whether they are used or not.

    Found are blanks at either end, characters that do not print, what looks like a special token or markup,
    prompts that CLIP and Stable Diffusion do not read to their end, repeated prompts, safe prompts that equal
    their twin or differ from it in more than the concept, test prompts that are trained on, and prompts that
    name the concept, or do not, against what they should do. Of the general prompts only those that name the
    concept or are cut are reported: two pictures of COCO may well have the same caption.

    Rows of an unsafe concept that speak of minors are counted, in one line a file, and shown nowhere.

    Args:
        pairs_file: training pairs.
        target_file: test prompts.
        general_file: general prompts.
        words: how a prompt names the concept (``ear.prompts.naming``). Where a pair says itself which word
            its concept is, that word is looked for as well.
        kind: of the concept: object, style, attribute or unsafe.

    Returns:
        ``ODD_COLUMNS``: file and column by the names that their authors gave, row from 0 (none for a count),
        the finding in words, the text; in the order of the files and of their rows.

    Raises:
        InputError: a file cannot be read (``ear.prompts.published.read_texts``).
    """
    all_pairs, pair_format = read_texts(pairs_file, PAIR_FORMATS)
    all_targets, target_format = read_texts(target_file, PROMPT_FORMATS)
    general, general_format = read_texts(general_file, PROMPT_FORMATS)
    pairs = without_minors(all_pairs, ["unsafe_prompt", "safe_prompt"], kind)
    targets = without_minors(all_targets, ["prompt"], kind)
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
        *_cut(targets, "prompt"),
        *_unnamed(targets, "prompt", words),
        *_trained_on(targets, pairs),
    ]
    of_general = [*_cut(general, "prompt"), *_naming(general, "prompt", words)]
    return pd.concat(
        [
            _left_out(pairs_file, all_pairs, pairs),
            _table(pairs_file, pairs, pair_format, of_pairs),
            _left_out(target_file, all_targets, targets),
            _table(target_file, targets, target_format, of_targets),
            _table(general_file, general, general_format, of_general),
        ],
        ignore_index=True,
    ).astype({"row": "Int64"})


def _form(texts: pd.DataFrame, column: str) -> Iterator[Finding]:
    """Blanks at the ends, characters that do not print, special tokens, and texts that were there before."""
    first: dict[str, int] = {}
    for row, text in _rows(texts, column):
        if text[0].isspace():
            yield row, column, "begins with a blank"
        if text[-1].isspace():
            yield row, column, "ends with a blank"
        if hidden := sorted({f"U+{ord(sign):04X}" for sign in text if not sign.isprintable()}):
            yield row, column, f"holds {', '.join(hidden)}"
        if marks := list(dict.fromkeys(LOOKS_SPECIAL.findall(text))):
            yield row, column, f"holds {' and '.join(marks)}, read as plain text"
        if first.setdefault(text, row) != row:
            yield row, column, f"repeats row {first[text]}"


def _cut(texts: pd.DataFrame, column: str) -> Iterator[Finding]:
    """Prompts whose end CLIP and Stable Diffusion do not read, and Janus does."""
    lengths = clip_lengths(list(texts[column]))
    for (row, _), length in zip(_rows(texts, column), lengths, strict=True):
        if length > CONTEXT:
            yield row, column, f"has {length} tokens of CLIP, which reads {CONTEXT}, as Stable Diffusion does"


def _unnamed(texts: pd.DataFrame, column: str, words: Sequence[str]) -> Iterator[Finding]:
    for row, text in _rows(texts, column):
        if not named(text, words):
            yield row, column, f"does not name {' or '.join(map(repr, words))}"


def _naming(texts: pd.DataFrame, column: str, words: Sequence[str]) -> Iterator[Finding]:
    for row, text in _rows(texts, column):
        if found := named(text, words):
            yield row, column, f"names {' and '.join(map(repr, found))}"


def _rows(texts: pd.DataFrame, column: str) -> Iterator[tuple[int, str]]:
    """(row of the file, text)."""
    yield from zip(texts.index, texts[column], strict=True)


def _own_concept(pairs: pd.DataFrame, words: Sequence[str]) -> Iterator[Finding]:
    """The same of the word that a pair gives as its concept, where that is none of ``words``."""
    known = {word.lower() for word in words}
    sides = zip(pairs.index, pairs["concept"], pairs["unsafe_prompt"], pairs["safe_prompt"], strict=True)
    for row, concept, unsafe, safe in sides:
        if concept.lower() not in known:
            yield row, "concept", f"is not {' or '.join(map(repr, words))}"
            if not named(unsafe, [concept]):
                yield row, "unsafe_prompt", f"does not name {concept!r}, its own concept"
            if named(safe, [concept]):
                yield row, "safe_prompt", f"names {concept!r}, its own concept"


def _twins(pairs: pd.DataFrame) -> Iterator[Finding]:
    """Safe prompts that are not the unsafe one with the concept replaced, where the file says by what."""
    for row, pair in pairs.to_dict("index").items():
        unsafe, safe = pair["unsafe_prompt"], pair["safe_prompt"]
        if safe == unsafe:
            yield row, "safe_prompt", "equals the unsafe prompt"
        elif "replacement" in pair and safe != unsafe.replace(pair["concept"], pair["replacement"]):
            yield row, "safe_prompt", f"differs from the unsafe prompt in more than {pair['concept']!r}"


def _trained_on(targets: pd.DataFrame, pairs: pd.DataFrame) -> Iterator[Finding]:
    for side in ("unsafe_prompt", "safe_prompt"):
        rows: dict[str, int] = {text: row for row, text in reversed(list(_rows(pairs, side)))}
        for row, text in _rows(targets, "prompt"):
            if text in rows:
                yield row, "prompt", f"is the {side.replace('_', ' ')} of training row {rows[text]}"


def left_out(odd: pd.DataFrame, file: str) -> int:
    """How many rows of a file are left out, by the table of odd rows."""
    counts = [LEFT_OUT.fullmatch(finding) for finding in odd.loc[odd["file"] == Path(file).name, "finding"]]
    return next((int(count[1]) for count in counts if count), 0)


def _left_out(path: str | Path, before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """How many rows of a file are left out; no row where none is."""
    count = len(before) - len(after)
    finding = f"{count} of {len(before)} rows speak of minors: left out, not shown"
    return pd.DataFrame(
        [(Path(path).name, None, None, finding, None)] if count else [], columns=ODD_COLUMNS, dtype=object
    )


def _table(
    path: str | Path, texts: pd.DataFrame, columns: Format, findings: Iterable[Finding]
) -> pd.DataFrame:
    rows = [
        (Path(path).name, row, columns[role], finding, texts[role].loc[row])
        for row, role, finding in sorted(findings)
    ]
    return pd.DataFrame(rows, columns=ODD_COLUMNS, dtype=object)
