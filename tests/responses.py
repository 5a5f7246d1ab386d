"""Responses of language models at their worst, made from a seed; and the rules of a pair, stated naively."""

import csv
import io
import json
import random
import re
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import pytest

from ear.prompts.checks import Checked, Proposed, Reason, Rules, check_response
from tests import hostility

CHURCH = Rules(
    "church", "church", ("chapel", "cathedral", "Kirche", "église", "iglesia", "教会"), "object", 30
)
RULES = (
    CHURCH,
    Rules("van-gogh", "in the style of Van Gogh", ("Van Gogh", "Vincent van Gogh"), "style", 25),
    Rules("fire", "on fire", ("burning", "in flames"), "attribute", 25),
    Rules("nudity", "nude", ("naked", "nudity", "undressed"), "unsafe", 20),
)
SUBJECTS = [
    "tree",
    "boat",
    "dog",
    "market",
    "bridge",
    "woman with a hat",
    "still life",
    "garden",
    "street",
    "horse",
]
LOOKS = ["old", "small", "red", "tall", "quiet", "wooden", "snow-covered", "grey", "distant", "lonely"]
PLACES = [
    "on a hill",
    "by the sea",
    "in a city",
    "in the desert",
    "beside a lake",
    "near the forest",
    "in a valley",
]
TIMES = [
    "at dawn",
    "at night",
    "in winter",
    "during a storm",
    "under a full moon",
    "on a rainy day",
    "at noon",
]
VIEWS = ["a photo of", "an aerial view of", "a sketch of", "a close-up of", "a wide shot of", ""]
NASTY = '{}[]",:\\\n\t\0 \u200b\ud800\ue000=+-@<|>aé教́0'


@dataclass
class Response:
    """A response, what it answers, and words of pairs in it that must not be kept (None: altered since)."""

    text: str
    rules: Rules
    wanted: int
    held: list[Proposed]
    spoiled: list[str] | None


@dataclass
class Result:
    """Counts of a soak."""

    responses: int = 0
    kept: int = 0
    seconds: float = 0.0
    reasons: Counter = field(default_factory=Counter)

    def add(self, other: "Result") -> None:
        self.responses += other.responses
        self.kept += other.kept
        self.reasons += other.reasons

    def report(self) -> str:
        rejected = self.reasons.total()
        lines = [
            f"{count / rejected:7.2%}  {count:8d}  {reason}" for reason, count in self.reasons.most_common()
        ]
        head = (
            f"{self.responses} responses in {self.seconds:.0f} s: {self.kept} pairs kept, {rejected} rejected"
        )
        return "\n".join(["", head, *lines])


def soak(seeds: Iterable[int]) -> Result:
    """Check a fuzzed response for each seed, and all that is kept of it."""
    result = Result()
    for seed in seeds:
        response = fuzzed(random.Random(seed))
        checked = check_response(response.text, response.rules, response.wanted, response.held)
        assert_valid(response, checked, closely=seed % 50 == 0)
        result.add(Result(1, len(checked.pairs), 0.0, Counter(one.reason for one in checked.rejected)))
    return result


def soak_in_two(count: int) -> Result:
    """The same by two processes."""
    started, result = time.monotonic(), Result()
    with ProcessPoolExecutor(2) as pool:
        for part in pool.map(soak, [range(start, start + 1000) for start in range(0, count, 1000)]):
            result.add(part)
    result.seconds = time.monotonic() - started
    return result


def fuzzed(rng: random.Random) -> Response:
    """A response to one request."""
    rules = rng.choice(RULES)
    held = [
        Proposed(one["unsafe_prompt"], one["safe_prompt"], "(removed)")
        for one in _pairs(rng, rules, rng.choice([0, 0, 3]))
    ]
    pairs = _pairs(rng, rules, rng.randrange(7))
    spoiled: list[str] | None = []
    for number, pair in enumerate(pairs):
        if rng.random() < 0.45:
            word = f"z{''.join(rng.choices('bdfklmprtv', k=5))}"
            for side in ("unsafe_prompt", "safe_prompt"):
                pair[side] = f"{pair[side]} {word}"
            pairs[number] = hostility.spoil(pair, rules, rng)
            spoiled.append(word)
        elif rng.random() < 0.1:
            pairs[number] = hostility.repeat(rng.choice(pairs[: number + 1]), rng)
    text = _wrap(pairs, rng)
    if rng.random() < 0.35:
        text, spoiled = _damage(text, rng), None
    return Response(text, rules, rng.randrange(8), held, spoiled)


def as_json(pairs: Iterable[Proposed]) -> str:
    """Kept pairs as a response."""
    return json.dumps({"pairs": [vars(pair) | {"aspects": dict(pair.aspects)} for pair in pairs]})


def written(path, texts: list[str]) -> list[str]:
    """Texts after a way through a table that pandas writes and any reader reads."""
    import pandas as pd

    from ear.files import write_csv

    write_csv(path, pd.DataFrame({"text": texts}))
    with open(path, encoding="utf-8", newline="") as handle:
        return [row["text"] for row in csv.DictReader(handle)]


def _pairs(rng: random.Random, rules: Rules, count: int) -> list[dict]:
    return [_pair(rng, rules) for _ in range(count)]


def _pair(rng: random.Random, rules: Rules) -> dict:
    name, subject = rng.choice((rules.words, *rules.also_named)), rng.choice(SUBJECTS)
    frame = " ".join(
        [rng.choice(VIEWS), "a", rng.choice(LOOKS), "{}", rng.choice(PLACES), rng.choice(TIMES)]
    ).strip()
    replacement = ""
    if rules.kind == "object":
        replacement, unsafe, safe = subject, frame.format(name), frame.format(subject)
    elif rules.kind == "unsafe":
        unsafe, safe = frame.format(f"{name} {subject}"), frame.format(subject)
    else:
        unsafe, safe = f"{frame.format(subject)} {name}", frame.format(subject)
    aspects = {"scene": "hill", "time": rng.choice(TIMES), "mention": "explicit"}
    return {"unsafe_prompt": unsafe, "safe_prompt": safe, "replacement": replacement, "aspects": aspects}


def _wrap(pairs: list, rng: random.Random) -> str:
    def dumps(value: object) -> str:
        return json.dumps(value, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, None, 2]))

    ways = [
        lambda: dumps({"pairs": pairs}),
        lambda: dumps(pairs),
        lambda: f"```json\n{dumps({'pairs': pairs})}\n```",
        lambda: f"Sure! Here are {len(pairs)} {{pairs}}:\n{dumps({'pairs': pairs})}\nAnything [else]?",
        lambda: "\n".join(map(dumps, pairs)),
        lambda: "\n".join(dumps({"pairs": pairs[part::2]}) for part in (0, 1)),
        lambda: dumps({"thought": "[{", "deep": {"er": [{"pairs": pairs}]}, "n": 10**30}),
        lambda: "[" + ",".join(map(dumps, pairs)) + ",]",
        lambda: "[" * rng.choice([3, 3000]) + dumps({"pairs": pairs}),
        lambda: '{"n": ' + "9" * 5000 + ', "pairs": ' + dumps(pairs) + "}",
        lambda: "I cannot help with that.",
    ]
    return rng.choice(ways)()


def _damage(text: str, rng: random.Random) -> str:
    for _ in range(rng.randrange(1, 5)):
        at, more = rng.randrange(len(text) + 1), rng.randrange(12)
        match rng.randrange(5):
            case 0:
                text = text[:at] + text[at + more :]
            case 1:
                text = text[:at] + rng.choice(NASTY) + text[at:]
            case 2:
                text = text[:at] + text[max(0, at - 40) : at + more] + text[at:]
            case 3:
                text = text[: max(1, at)] if rng.random() < 0.3 else text
            case _:
                text = text[:at] + rng.choice(NASTY) + text[at + 1 :]
    return text


ARTICLES = {"a", "an", "the"}
FUNCTION = ARTICLES | {
    *(
        "of",
        "in",
        "on",
        "at",
        "by",
        "with",
        "and",
        "or",
        "to",
        "from",
        "for",
        "as",
        "like",
        "is",
        "are",
        "was",
    ),
    *("it", "its", "this", "that", "there", "style", "styled", "manner", "painted", "drawn", "s"),
}
VALUES = {"", "na", "n/a", "nan", "null", "none", "true", "false", "inf", "infinity"}
FORBIDDEN_SIGNS = set("<>{}[]\\|`$^~=_*#@%+\n\r\t\0")


def assert_valid(response: Response, checked: Checked, closely: bool = True) -> None:
    """All rules that kept pairs keep, stated without the code that checks them; weaker where that is simpler."""
    rules, pairs = response.rules, checked.pairs
    assert len(pairs) <= response.wanted
    for pair in pairs:
        texts = [pair.unsafe_prompt, pair.safe_prompt, pair.replacement]
        for text in texts:
            _assert_harmless(text, rules)
        assert _csv_cells(texts) == texts
        squeezed = _squeeze(pair.unsafe_prompt)
        naming = any(_squeeze(name)[:4] in squeezed for name in (rules.words, *rules.also_named))
        assert naming, pair
        for name in (rules.words, *rules.also_named):
            assert not re.search(rf"\b{re.escape(_plain(name))}(s|es|'s)?\b", _plain(pair.safe_prompt)), pair
        assert _plain(pair.unsafe_prompt) != _plain(pair.safe_prompt)
        assert pair.replacement == "(removed)" or _squeeze(pair.replacement)[:3] in _squeeze(
            pair.safe_prompt
        ), pair
        assert _changed(pair, rules), pair
        assert set(pair.aspects) <= {"scene", "time", "viewpoint", "attribute", "mention"}
        assert pair.aspects["mention"] in ("explicit", "implicit")
        for value in pair.aspects.values():
            _assert_harmless(value, rules)
        for word in response.spoiled or ():
            assert word not in pair.unsafe_prompt, pair
    prompts = [pair.unsafe_prompt for pair in (*response.held, *pairs)]
    tellings = [" ".join(word for word in _words(text) if word not in ARTICLES) for text in prompts]
    fresh = tellings[len(response.held) :]
    assert len(set(fresh)) == len(fresh) and not set(fresh) & set(tellings[: len(response.held)])
    if closely:
        _assert_far(tellings, len(response.held), rules)
    for one in checked.rejected:
        assert isinstance(one.reason, Reason)
        for text in (one.unsafe_prompt, one.safe_prompt):
            assert text.isprintable() and text[:1] not in ("=", "+", "-", "@"), text
            text.encode()


def _assert_harmless(text: str, rules: Rules) -> None:
    assert text == text.strip() and "  " not in text
    assert text.isprintable() and not FORBIDDEN_SIGNS & set(text), text
    text.encode()
    assert 0 < len(text.split()) <= rules.max_words and len(text) <= 500
    assert any(sign.isalpha() for sign in text) and text.lower() not in VALUES
    with pytest.raises(ValueError):
        float(text)
    assert text[0] not in "=+-@" and not re.search(r"[,;]\s*[=+@-]", text)
    lowered = unicodedata.normalize("NFKC", text).lower()
    assert not [phrase for phrase in hostility.PHRASES if phrase in lowered], text


def _csv_cells(texts: list[str]) -> list[str]:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(texts)
    return next(csv.reader(io.StringIO(buffer.getvalue())))


def _plain(text: str) -> str:
    apart = unicodedata.normalize("NFKD", text.lower())
    return "".join(sign for sign in apart if not unicodedata.combining(sign))


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", _plain(text))


def _squeeze(text: str) -> str:
    return "".join(_words(text))


def _changed(pair: Proposed, rules: Rules) -> bool:
    """At most half of the words differ, one more for what naive comparison misses."""
    starts = {word[:4] for name in (rules.words, *rules.also_named) for word in _words(name)}
    given = set(_words(pair.replacement))
    sides = [
        [word[:4] for word in _words(text) if word not in FUNCTION | without and word[:4] not in starts]
        for text, without in ((pair.unsafe_prompt, set()), (pair.safe_prompt, given))
    ]
    return _edits(*sides) <= max(map(len, sides)) / 2 + 1


def _edits(one: list[str], other: list[str]) -> int:
    row = list(range(len(other) + 1))
    for number, word in enumerate(one, 1):
        before, row[0] = row[0], number
        for place, wanted in enumerate(other, 1):
            before, row[place] = (
                row[place],
                min(row[place] + 1, row[place - 1] + 1, before + (word != wanted)),
            )
    return row[-1]


def _assert_far(tellings: list[str], held: int, rules: Rules) -> None:
    """No two prompts share more than 94 % of their characters in order, the concept's name left out."""
    names = {word for name in (rules.words, *rules.also_named) for word in _words(name)}
    bare = [" ".join(word for word in text.split() if word not in names) for text in tellings]
    for number in range(held, len(bare)):
        for earlier in range(number):
            one, other = bare[number], bare[earlier]
            longest = len(one) + len(other)
            assert 2 * _common(one, other) <= 0.97 * longest or not longest, (one, other)


def _common(one: str, other: str) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for sign in one:
        corner = 0
        for place, wanted in enumerate(other, 1):
            corner, row[place] = row[place], corner + 1 if sign == wanted else max(row[place], row[place - 1])
    return row[-1]
