"""Prompts from the grammar, and the checks that every source must pass."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ear.config.concepts import ZeroShotJudge
from ear.errors import InputError
from ear.judges.filter import FALSE_NEGATIVE, FALSE_POSITIVE, filter_pairs, pair_prompts
from ear.prompts.llm.checks import Rules
from ear.prompts.naming import named
from ear.prompts.tables import PROMPT_COLUMNS, check_prompts, general_of
from ear.world.classifiers import STYLES
from ear.world.grammar import Grammar, general_prompts, grammar_pairs
from ear.world.scenes import OBJECTS
from ear.world.sentences import CONCEPTS as WORLD
from ear.world.sentences import (
    FIRE_DESCRIPTION,
    FIRE_PHRASE,
    OBJECT_DESCRIPTIONS,
    SEPIA_PHRASE,
    STYLE_DESCRIPTION,
    STYLE_PHRASE,
    captions_of,
)

CONCEPTS = {
    "church": ("object", "church"),
    "van-gogh": ("style", STYLE_PHRASE),
    "fire": ("attribute", FIRE_PHRASE),
    "boat": ("object", "boat"),
    "sepia": ("style", SEPIA_PHRASE),
}
DESCRIBED = [name for name in CONCEPTS if name != "sepia"]


def prompts_of(concept, seed=42, count=100):
    grammar = Grammar(concept, *CONCEPTS[concept], seed)
    general = general_of(general_prompts(count, seed), CONCEPTS[concept][1], count)
    return grammar.pairs(60), pd.concat([grammar.target(count), grammar.retention(count), general])


@pytest.mark.parametrize("concept", CONCEPTS)
@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_sets_are_disjoint_and_name_the_concept_as_they_should(concept, seed):
    pairs, evaluation = prompts_of(concept, seed)
    training = list(captions_of("train"))
    check_prompts(concept, CONCEPTS[concept][1], pairs, evaluation, training)
    assert evaluation["prompt_set"].value_counts().eq(100).all()
    assert len(pairs) == 60


@pytest.mark.parametrize("concept", DESCRIBED)
@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_implicit_prompts_do_not_name_the_concept_and_are_its_alone(concept, seed):
    kind, words = CONCEPTS[concept]
    grammar = Grammar(concept, kind, words, seed)
    implicit, target = grammar.implicit(100), grammar.target(100)
    assert implicit.columns.tolist() == PROMPT_COLUMNS and set(implicit["prompt_set"]) == {"implicit"}
    assert implicit["prompt_id"].tolist() == [f"{concept}/implicit/{number:04d}" for number in range(100)]
    assert implicit["object"].tolist() == target["object"].tolist()
    description = {"style": STYLE_DESCRIPTION, "attribute": FIRE_DESCRIPTION}.get(kind)
    description = description or OBJECT_DESCRIPTIONS[words]
    texts = implicit["prompt"].str.replace(description, words)
    evaluation = set(captions_of("evaluation"))
    assert implicit["prompt"].str.contains(description).all() and set(texts) <= evaluation
    assert set(implicit["prompt"]) <= evaluation and texts.tolist() != target["prompt"].tolist()
    if kind != "object":
        assert all(row.object in row.prompt for row in implicit.itertuples())
    assert not [text for text in implicit["prompt"] if named(text, [words])]


@pytest.mark.parametrize(
    ("concept", "label", "phrase"), [("van-gogh", "sepia", SEPIA_PHRASE), ("sepia", "van-gogh", STYLE_PHRASE)]
)
def test_neighbours_of_a_style_are_in_the_other_and_others_have_none(concept, label, phrase):
    table = Grammar(concept, *CONCEPTS[concept], 42).neighbours(40)
    assert table.columns.tolist() == PROMPT_COLUMNS and set(table["prompt_set"]) == {"neighbours"}
    assert table["prompt_id"].tolist() == [f"{concept}/neighbours/{number:04d}" for number in range(40)]
    assert set(table["object"]) == {label} and label in STYLES  # of the classifier
    evaluation = set(captions_of("evaluation"))
    assert set(table["prompt"]) <= evaluation
    for name, prompt in zip(OBJECTS * 5, table["prompt"], strict=True):
        assert phrase in prompt and name in prompt and FIRE_PHRASE not in prompt
    for other in ("church", "fire"):
        none = Grammar(other, *CONCEPTS[other], 42).neighbours(40)
        assert none.empty and none.columns.tolist() == PROMPT_COLUMNS
    none = Grammar("sepia", *CONCEPTS["sepia"], 42).implicit(40)  # nothing describes it without its words
    assert none.empty and none.columns.tolist() == PROMPT_COLUMNS


@pytest.mark.parametrize(("kind", "words"), [(kind, one) for kind, names in WORLD.items() for one in names])
def test_pairs_of_all_that_the_world_can_erase_pass_the_checks(kind, words):
    """As the judges' labels know it, and as a language model's pairs are checked."""
    rules = Rules("mine", words, (), kind, 40)
    result = grammar_pairs(Grammar("mine", kind, words, 42), rules, 60)
    assert len(result.pairs) == 60 and not len(result.rejected)
    pairs = pd.DataFrame(result.pairs)
    for unsafe, safe in zip(pairs["unsafe_prompt"], pairs["safe_prompt"], strict=True):
        assert named(unsafe, [words]) and not named(safe, [words])
    phrases = ZeroShotJudge(by="zero-shot").filled_in(kind, words, world=True)
    assert all(named(text, [words]) for text in phrases["positive"])
    assert not any(named(text, [words]) for text in phrases["negative"])


def test_pairs_differ_in_the_concept_only():
    pairs, _ = prompts_of("van-gogh")
    for unsafe, safe in zip(pairs["unsafe_prompt"], pairs["safe_prompt"], strict=True):
        assert unsafe.replace(STYLE_PHRASE, "").replace(" ", "").replace(",", "") == safe.replace(
            " ", ""
        ).replace(",", "")
    pairs, _ = prompts_of("church")
    for row in pairs.itertuples():
        assert row.unsafe_prompt.replace("church", row.replacement) == row.safe_prompt
    assert pairs["replacement"].nunique() == len(OBJECTS) - 1


@settings(deadline=None, max_examples=5)
@given(count=st.integers(1, 300))
def test_shared_general_prompts_are_just_enough_for_each_object(count):
    shared = general_prompts(count, 42)
    left = {name: len(general_of(shared, name, 10**6)) for name in OBJECTS}
    assert min(left.values()) == count
    assert len(general_of(shared.iloc[:-1], shared["object"].iloc[0], 10**6)) < count or len(shared) == 1


@pytest.mark.parametrize("concept", CONCEPTS)
def test_a_concepts_general_prompts_are_the_first_shared_ones_without_it(concept):
    shared, words = general_prompts(50, 42)["prompt"].tolist(), CONCEPTS[concept][1]
    general = general_of(general_prompts(50, 42), words, 50)["prompt"].tolist()
    assert general == [prompt for prompt in shared if words not in prompt][:50]
    assert len(general) == 50


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t["training"].append(t["prompts"]["prompt"].iloc[0]), "training captions"),
        (
            lambda t: t["pairs"].__setitem__("safe_prompt", t["pairs"]["unsafe_prompt"]),
            "does not name 'church'",
        ),
        (lambda t: t["pairs"].__setitem__("unsafe_prompt", t["pairs"]["safe_prompt"]), "one that names"),
        (lambda t: t["pairs"].__setitem__("pair_id", "p"), "twice"),
        (lambda t: t["prompts"].__setitem__("prompt", "a church"), "twice"),
    ],
)
def test_check_refuses(change, words):
    pairs, prompts = prompts_of("church", count=20)
    tables = {"pairs": pairs, "prompts": prompts, "training": ["a seen caption"]}
    change(tables)
    with pytest.raises(InputError, match=words) as caught:
        check_prompts("church", "church", tables["pairs"], tables["prompts"], tables["training"])
    assert str(caught.value).startswith("church")


def test_grammar_refuses_what_the_world_cannot_draw():
    with pytest.raises(InputError, match=r"concepts\.dog\.words: found 'dog', wanted one of 'church'"):
        Grammar("dog", "object", "dog", 1)
    with pytest.raises(InputError, match="wanted at most"):
        Grammar("church", "object", "church", 1).target(10**5)


def test_filter_keeps_pairs_that_show_the_concept_on_the_unsafe_side_only():
    pairs = prompts_of("church")[0].head(4)
    sides = pair_prompts(pairs)
    shown = {"unsafe": [True, False, True, False], "safe": [False, False, True, True]}
    verdicts = sides[["prompt_id"]].assign(shown=[*shown["unsafe"], *shown["safe"]], score=0.5)
    kept, failed = filter_pairs(pairs, verdicts.sample(frac=1, random_state=0), drop=True)
    assert kept["pair_id"].tolist() == pairs["pair_id"].tolist()[:1]
    assert failed["reason"].tolist() == [
        FALSE_NEGATIVE,
        FALSE_POSITIVE,
        f"{FALSE_NEGATIVE} and {FALSE_POSITIVE}",
    ]
    everything, reported = filter_pairs(pairs, verdicts, drop=False)
    assert len(everything) == 4
    assert reported.equals(failed)
