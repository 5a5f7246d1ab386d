"""Two language models and the grammar mixed, through the workflow: a chat API on loopback, and recordings that outlast it."""

import copy

import pandas as pd
import pytest
from datasets import load_dataset

from tests.chat_server import chat_server
from tests.workflow.repository import config_of, copy_of_a_run, planned_counts, snakemake, write_config

KEY = "sk-Loopback-0123456789"
PROMPTS = "results/smoke/prompts/church"
TARGETS = [f"{PROMPTS}/{name}.csv" for name in ("candidates", "evaluation", "rejected")]
CARD = "results/smoke/dataset/church/README.md"
SOURCES = "results/smoke/tables/sources.csv"


@pytest.fixture(scope="module")
def repository(done, tmp_path_factory):
    """A finished smoke run, whose models draw what the language models think of."""
    return copy_of_a_run(done, tmp_path_factory.mktemp("models") / "repository")


@pytest.fixture(scope="module")
def server():
    with chat_server() as running:
        yield running


@pytest.fixture(scope="module")
def made(repository, server):
    """Bytes of prompts as the first run made them, beside a data set and the table of sources."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EAR_TEST_KEY", KEY)
        patch.setenv("NO_PROXY", "127.0.0.1")
        server.faults = ["busy", "broken", "cut"]
        snakemake(repository, *TARGETS, SOURCES, CARD, *configured(repository, sources(server.url)))
        yield contents(repository)


def sources(url):
    chat = {"by": "chat", "base_url": url, "key": "EAR_TEST_KEY", "per_round": 2, "timeout_s": 20.0}
    return {
        "grammar": {"by": "grammar", "pairs": 6},
        "one": chat | {"model": "one", "pairs": 12, "price": {"input": 1.0, "output": 2.0}},
        "two": chat | {"model": "two", "pairs": 15},
    }


def configured(folder, of_config):
    config = config_of("smoke")
    config["prompts"]["sources"] = of_config
    return write_config(folder / "mixed.yaml", config)


def contents(folder):
    files = [path for path in (folder / PROMPTS).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def recorded(folder):
    return {
        path.stem: len(path.read_text().splitlines()) for path in folder.glob("recordings/church/*.jsonl")
    }


def test_pairs_of_all_sources_are_candidates_and_each_has_its_row_and_its_place_in_the_data_set(
    repository, server, made
):
    candidates = pd.read_csv(repository / TARGETS[0])
    counts = candidates["source"].value_counts()
    assert counts["grammar"] == 6
    assert 0 < counts["one"] <= 12 and 0 < counts["two"] <= 15
    assert candidates["pair_id"].is_unique and candidates["unsafe_prompt"].str.lower().is_unique
    assert len(pd.read_csv(repository / TARGETS[1])) == 3 * 10 + 4  # target, retention, general; implicit
    for name, asked in (("one", 12), ("two", 15)):
        folder = repository / PROMPTS / "sources" / name
        assert len(pd.read_csv(folder / "pairs.csv")) == asked
        usage = pd.read_csv(folder / "usage.csv").iloc[0]
        assert usage["requests"] == recorded(repository)[name] and usage["asked"] == 10 * usage["requests"]
        assert set(pd.read_csv(folder / "rejected.csv")) <= set(pd.read_csv(repository / TARGETS[2]))
    assert set(server.answered.values()) == {1}
    table = pd.read_csv(repository / SOURCES).set_index("source")
    assert list(table.index) == ["grammar", "one", "two"]
    assert (table["kept"] <= table["candidates"]).all() and table["candidates"].gt(0).all()
    assert (table["unique"] <= table["valid"]).all() and (table["valid"] <= table["answered"]).all()
    assert table["cost"].notna().to_dict() == {"grammar": False, "one": True, "two": False}
    pairs = load_dataset(str((repository / CARD).parent), "pairs", split="train").to_pandas()
    assert pairs["source"].value_counts().to_dict() == table["kept"].to_dict()


def test_the_key_is_in_no_file_of_the_run(repository, server, made):
    assert server.keys == {f"Bearer {KEY}"}
    files = [path for path in repository.rglob("*") if path.is_file()]
    assert any(".snakemake" in str(path) for path in files)
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []


def test_without_results_endpoint_and_key_the_recordings_give_the_same_bytes(
    repository, server, made, monkeypatch
):
    monkeypatch.delenv("EAR_TEST_KEY")
    asked = server.requests
    (repository / PROMPTS).rename(repository / "prompts-before")
    snakemake(repository, *TARGETS, *configured(repository, sources("http://127.0.0.1:9/v1")))
    assert contents(repository) == made
    assert server.requests == asked


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        ({"timeout_s": 5.0, "concurrency": 1, "attempts": 2, "base_url": "http://elsewhere/v1"}, {}),
        ({"budget": {"tokens": 10**6}, "key": "ANOTHER"}, {}),
        ({"temperature": 0.5}, {"ask": 1, "make_pairs": 1}),
        ({"pairs": 20}, {"ask": 1, "make_pairs": 1}),
    ],
)
def test_only_keys_that_can_change_an_answer_rerun_a_source(repository, server, made, change, rules):
    changed = copy.deepcopy(sources(server.url))
    changed["two"] |= change
    assert planned_counts(repository, *TARGETS, *configured(repository, changed)) == rules


def test_a_model_more_and_pairs_more_ask_for_what_is_missing(repository, server, made):
    before, asked = recorded(repository), server.requests
    more = sources(server.url)
    more["one"] = more["one"] | {"pairs": 18}
    more["three"] = more["one"] | {"model": "three", "pairs": 5}
    snakemake(repository, *TARGETS, *configured(repository, more))
    after = recorded(repository)
    assert set(after) == {"one", "two", "three"}
    assert after["two"] == before["two"]
    assert after["one"] + after["three"] - before["one"] == server.requests - asked
    assert set(server.answered.values()) == {1}
    old = pd.read_csv(repository / "prompts-before/candidates.csv")
    new = pd.read_csv(repository / TARGETS[0])
    kept = old.merge(new, on=list(old))
    assert len(kept) >= len(old) - 1  # a new pair of the first model may be a near-duplicate of the second's


def test_on_pretrained_models_held_out_pairs_are_the_evaluation(repository, server, monkeypatch):
    monkeypatch.setenv("EAR_TEST_KEY", KEY)
    config = config_of("rehearsal")
    for key in ("published", "public", "retention"):
        config["concepts"]["church"].pop(key)
    models = {name: source for name, source in sources(server.url).items() if name != "grammar"}
    config["prompts"] = {"target": 6, "retention": 4, "sources": models}
    own = write_config(repository / "own.yaml", config)
    folder = repository / "results/rehearsal/prompts"
    targets = [f"results/rehearsal/prompts/{concept}/candidates.csv" for concept in ("church", "nudity")]
    snakemake(repository, *targets, *own)
    pairs, prompts = (pd.read_csv(folder / "church" / f"{name}.csv") for name in ("candidates", "evaluation"))
    assert set(pairs["source"]) == {"one", "two"} and 20 <= len(pairs) <= 27
    wanted = {"general": 4, "target": 6, "retention": 4, "implicit": 1, "neighbours": 5}
    assert prompts["prompt_set"].value_counts().to_dict() == wanted
    target, retention = (prompts[prompts["prompt_set"] == name]["prompt"] for name in ("target", "retention"))
    assert target.str.contains("church").all() and not retention.str.contains("church").any()
    assert not {*target, *retention} & {*pairs["unsafe_prompt"], *pairs["safe_prompt"]}
    assert set(pd.read_csv(folder / "nudity/candidates.csv")["source"]) == {"published"}
