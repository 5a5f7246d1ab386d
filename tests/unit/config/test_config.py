"""The config: what is accepted, what is refused and in which words."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from ear.config import parse_config
from ear.config.parsing import read_config
from ear.erasure.variants import Lora, Settings
from ear.errors import InputError
from ear.models.catalogue import load_catalogue, shapes_of

ROOT = Path(__file__).parents[3]
RECIPE = ROOT / "configs/mini-world.yaml"
CONFIGS = [ROOT / "config.yaml", *sorted({*(ROOT / "configs").glob("*.yaml")} - {RECIPE})]
MINI = yaml.safe_load((ROOT / "config.yaml").read_text())
PAPER = yaml.safe_load((ROOT / "configs/janus-pro-7b.yaml").read_text())
EMU3 = yaml.safe_load((ROOT / "configs/emu3-gen.yaml").read_text())
SHAPES = shapes_of(load_catalogue(ROOT / "assets.yaml"))


def changed(path, value, config=MINI):
    """A config with one key set, or removed where the value is ``...``."""
    raw = copy.deepcopy(config)
    node = raw
    *parents, last = path.split(".")
    for part in parents:
        node = node[int(part) if isinstance(node, list) else part]
    if value is ...:
        del node[last]
    else:
        node[int(last) if isinstance(node, list) else last] = value
    return raw


# (key, value, what the message must name besides the key)
MINE = "methods.mine"
JUDGE = "concepts.church.judge"
NEGATIVE = {"variant": "negative-prompt", "strength": 1.0}
BROKEN = [
    ("sampling.temprature", 1.0, ["unknown key", "guidance", "temperature"]),
    ("experiment", "My Run", ["'My Run'"]),
    ("seed", ..., ["seed is required"]),
    ("seeds", [1, 1], ["[1, 1]", "once"]),
    ("world", ..., ["sources.grammar.by: found grammar", "chat or transformers without world: drawn"]),
    ("backbone.asset", "mini-clip", ["found mini-clip", "mini-backbone", "janus-pro-7b"]),
    ("backbone.asset", "janus-pro-1b", ["384 pixels a side", "one with images of 64 pixels with world: drawn"]),
    ("assets", {"root": "x", "stand_ins": {"pairs": 1, "targets": 1, "general": 1}}, ["assets.stand_ins"]),
    ("utility.question", "Describe it.", ["'Describe it.'", "'describe the image'", "with world: drawn"]),
    ("sampling.temperature", float("nan"), ["nan", "finite"]),
    ("concepts.church", "church", ["'church'", "mapping"]),
    ("concepts.church.public", PAPER["concepts"]["church"]["public"], ["church.public", "with world: drawn"]),
    ("concepts.church.window", 65, ["65", "64"]),
    ("erasure.layers", 7, ["7", "at most 6"]),
    ("erasure.threshold", {"value": 0.1, "quantile": 0.1}, ["value or quantile, and not both"]),
    ("methods.ear.variant", "none", ["none", "released"]),
    ("methods.original", ..., ["original"]),
    ("methods.ear.variant", "wga", ["wga", "another name"]),
    ("methods.ear.overrides", {"context": "none"}, ["overrides.context", "another name"]),
    ("methods.ear.overrides", {"eta": -1.0}, ["eta", "-1.0", "greater than or equal to 0"]),
    ("methods.ear.strength", 1.0, ["ear.strength is not allowed with variant ear"]),
    (MINE, {"variant": "negative-prompt"}, ["mine.strength", "a number"]),
    (MINE, {"variant": "images"}, ["mine.images is required", "a folder"]),
    (MINE, {"variant": "ear", "overrides": {"window": 65}}, ["overrides.window", "65", "64"]),
    (MINE, NEGATIVE | {"overrides": {"eta": 1.0}}, ["mine.overrides", "trains nothing"]),
    (MINE, {"variant": "obliviate", "overrides": {"context": "none"}}, ["mine.overrides.context", "aligned"]),
    (MINE, {"variant": "prefix-redirect", "overrides": {"rows": "both"}}, ["overrides.rows: found both", "conditional"]),
    ("concepts.church.anchors", ["a barn", "old Churches"], ["church.anchors[1]: found 'church'", "none of its names"]),
    (MINE, {"variant": "ear", "overrides": {"context": "mixed"}}, ["overrides.context: found mixed", "none or"]),
    (MINE, {"variant": "ear", "overrides": {"cuts": 4}}, ["mine.overrides.cuts is not allowed", "context"]),
    (MINE, {"variant": "ear", "overrides": {"lora": {"rank": 0, "alpha": 16}}}, ["lora.rank", "0", "than or equal to 1"]),
    (MINE, {"variant": "ear", "overrides": {"lora": {"rank": 4}}}, ["overrides.lora.alpha is required"]),
    (MINE, {"variant": "ear", "overrides": {"lora": {"rank": 4, "alpha": 0.0}}}, ["lora.alpha", "0.0", "than 0"]),
    ("erasure.lora", {"rank": 4, "alpha": 8.0, "dropout": 0.1}, ["unknown key", "dropout", "rank, alpha"]),
    (MINE, {"variant": "ear", "sequential": True}, ["mine.sequential is not allowed without erase"]),
    (MINE, {"variant": "ear", "erase": ["church", "owl"]}, ["mine.erase", "owl", "church, van-gogh"]),
    (MINE, {"variant": "ear", "erase": ["fire", "fire"]}, ["mine.erase", "fire, fire", "once"]),
    (MINE, {"variant": "ear", "erase": ["fire", "church"], "concepts": ["fire"]}, ["mine.concepts", "erase"]),
    (MINE, NEGATIVE | {"erase": ["fire", "van-gogh"]}, ["mine.erase", "trains nothing"]),
    (JUDGE, {"by": "artist", "label": "x", "top_k": 1}, ["church.judge", "zero-shot"]),
    ("concepts.church.second_judge", {"by": "vote"}, ["second_judge.by", "vote", "zero-shot"]),
    ("concepts.church.published", PAPER["concepts"]["church"]["published"], ["published is not allowed with world"]),
    (
        "axes.inversion",
        {"images": 100, "steps": 1, "learning_rate": 0.1, "prompts": 1},
        ["axes.inversion.images: found 100", "fewer than the 100 target prompts of church"],
    ),
    ("evaluation.window_prompts", 1000, ["1000", f"prompts.target = {MINI['prompts']['target']}"]),
    ("evaluation.shown_method", "paper", ["paper", "ear"]),
    *(
        (f"methods.{name}", PAPER["methods"][name], [f"methods.{name} is not allowed with world"])
        for name in ("published", "stable-diffusion")
    ),
]  # fmt: skip


CHAT = {"by": "chat", "base_url": "http://localhost:8000/v1", "model": "m", "pairs": 50}
LOCAL = {"by": "transformers", "model": "org/name", "revision": "0" * 40, "dtype": "bfloat16", "pairs": 50}
KEY = "sk-Abc_0123456789"
BROKEN_SOURCES = [
    ({"a": {"by": "llm"}}, ["sources.a.by: found llm", "chat, grammar, transformers"]),
    ({"a": {"by": "grammar", "pairs": 1}, "b": {"by": "grammar", "pairs": 1}}, ["at most one source"]),
    ({"published": CHAT}, ["another name than published"]),
    ({"a": CHAT | {"base_url": "localhost:8000"}}, ["sources.a.base_url: found a hidden value", "http://"]),
    ({"a": CHAT | {"base_url": f"http://me:{KEY}@host/v1"}}, ["sources.a.base_url", "without user"]),
    ({"a": CHAT | {"base_url": f"https://host/v1?key={KEY}"}}, ["sources.a.base_url", "goes by `key`"]),
    ({"a": CHAT | {"key": KEY}}, ["sources.a.key: found a hidden value", "pattern"]),
    ({"a": CHAT | {"budget": {"cost": 1.0}}}, ["sources.a", "price", "budget.cost"]),
    ({"a": CHAT | {"budget": {"euro": 1.0}}}, ["budget.euro: unknown key", "tokens, cost"]),
    ({"a": LOCAL | {"revision": "main"}}, ["sources.a", "40 hexadecimal digits"]),
    ({"a": LOCAL | {"model": "./folder"}}, ["sources.a", "no revision, because model is a folder"]),
]


@pytest.mark.parametrize(("sources", "words"), BROKEN_SOURCES, ids=[words[0] for _, words in BROKEN_SOURCES])
def test_broken_sources_are_one_line_that_shows_no_key(sources, words):
    with pytest.raises(InputError) as caught:
        parse_config(changed("prompts.sources", sources), "my.yaml", SHAPES)
    message = str(caught.value)
    assert "\n" not in message and KEY not in message
    for word in ("prompts", *words):
        assert word in message


def test_pretrained_models_take_their_prompts_from_language_models_where_none_are_published():
    raw = changed("concepts.church.published", None, PAPER)
    del raw["concepts"]["church"]["public"], raw["concepts"]["church"]["retention"]
    with pytest.raises(
        InputError, match="prompts is required because church has no published prompts; add it"
    ):
        parse_config(raw, "my.yaml", SHAPES)
    raw["prompts"] = {"target": 30, "retention": 20, "sources": {"a": CHAT, "b": LOCAL | {"pairs": 25}}}
    with pytest.raises(InputError, match=r"church\.public is not allowed without published prompts"):
        parse_config(
            changed("concepts.church.public", PAPER["concepts"]["church"]["public"], raw), "my.yaml", SHAPES
        )
    config = parse_config(raw, "my.yaml", SHAPES)
    assert config.own_prompts == ["church"]
    assert (config.pairs_asked("a"), config.pairs_asked("b")) == (50 + 20, 25 + 10)
    raw["prompts"]["sources"]["grammar"] = {"by": "grammar", "pairs": 5}
    with pytest.raises(InputError, match=r"sources\.grammar\.by: found grammar, wanted chat or transformers"):
        parse_config(raw, "my.yaml", SHAPES)


def test_only_what_decides_an_answer_is_asked_by():
    config = parse_config(
        changed("prompts.sources", {"a": CHAT | {"key": "A_KEY"}, "b": LOCAL}), "my.yaml", SHAPES
    )
    assert config.pairs_asked("a") == 50  # in the mini world the evaluation takes no pairs from a model
    chat, local = config.prompts.sources["a"], config.prompts.sources["b"]
    assert set(chat.asks()) == {"model", "temperature", "seed", "per_request", "per_round", "max_tokens"}
    assert set(local.asks()) - set(chat.asks()) == {"revision", "dtype"}
    assert chat.calls()["key"] == "A_KEY"
    assert not set(chat.calls()) & set(chat.asks())


BROKEN_ON_PRETRAINED = [
    ("prompts", MINI["prompts"], ["prompts is not allowed because all concepts have published prompts"]),
    ("assets.stand_ins", {"pairs": 4, "targets": 4, "general": 4}, ["assets", "root"]),
    (
        "assets.root",
        f"./results/x/../{PAPER['experiment']}/models/",
        ["root: found ./results", "links to the"],
    ),
    ("concepts.church.published", ..., ["prompts is required", "church"]),
    (f"{JUDGE}.group", "object", ["group is not allowed without world: drawn"]),
    (f"{JUDGE}.by", "resnet", ["judge.by", "resnet", "classifier", "nudenet"]),
    ("concepts.nudity.judge.threshold", 0.1, ["nudity.judge.threshold: found 0.1", "0.2"]),
    ("methods.stable-diffusion.concepts", ["horse"], ["horse", "church, van-gogh, nudity"]),
    ("methods.stable-diffusion.diffusion", ..., ["diffusion is required", "steps"]),
    ("methods.published.weights", {"church": "*"}, ["published.weights.van-gogh is required"]),
    ("evaluation.shown_method", "stable-diffusion", ["stable-diffusion", "released"]),
    ("concepts.church.public.uda.asset", "mine", ["public.uda.asset", "'mine'", "attack-prompts"]),
    ("concepts.church.retention.labels.tench", "tensh", ["retention.labels.tench", "as 'tench'"]),
    (
        "concepts.nudity.retention",
        PAPER["concepts"]["church"]["retention"],
        ["judge, nudenet, has no labels"],
    ),
]


def test_a_method_may_be_measured_on_some_concepts_only():
    config = parse_config(PAPER, "paper.yaml", SHAPES)
    diffusion = [run for run in config.runs() if run[1] == "stable-diffusion"]
    assert diffusion == [("nudity", "stable-diffusion", 0)]
    assert config.method_window("nudity", "stable-diffusion") is None
    assert config.method_window("nudity", "published") == config.concepts["nudity"].window
    assert config.methods["published"].adapts and not config.methods["published"].trains


@pytest.mark.parametrize(
    ("method", "windows"),
    [
        ({"variant": "ear", "erase": ["van-gogh", "fire"]}, [8]),  # the concepts' common one
        ({"variant": "ear", "erase": ["church", "fire"], "overrides": {"window": 4}}, [4]),
        ({"variant": "single-step", "erase": ["church", "fire"]}, [1]),
        ({"variant": "gradient-ascent", "erase": ["church", "fire"], "overrides": {"window": "image"}}, [64]),
        ({"variant": "ear", "erase": ["van-gogh", "fire"], "sweep": True}, MINI["erasure"]["windows"]),
    ],
)
def test_concepts_that_are_erased_together_share_an_adapter_and_a_window(method, windows):
    config = parse_config(changed("methods.mine", method), "my.yaml", SHAPES)
    first, second = method["erase"]
    runs = [run for run in config.runs() if run[1] == "mine"]
    assert runs == [(concept, "mine", 0) for concept in config.concepts if concept in method["erase"]]
    assert {config.edited(run) for run in runs} == {(f"{first}+{second}", "mine", 0)}
    assert config.edited_weights().count((f"{first}+{second}", "mine", 0)) == 1
    assert config.settings(first, "mine") == config.settings(second, "mine")
    assert config.trained_windows(first, "mine") == config.trained_windows(second, "mine") == windows
    assert config.also_erased(first, "mine") == [MINI["concepts"][second]["words"]]
    assert config.also_erased(first, "ear") == []
    alone = [run for run in config.runs() if config.methods[run[1]].trains and run[1] != "mine"]
    assert all(config.edited(run) == run for run in alone)
    with pytest.raises(InputError, match=r"evaluation\.shown_method: found mine, wanted one of released"):
        raw = changed("methods.mine", method)
        parse_config(changed("evaluation.shown_method", "mine", raw), "my.yaml", SHAPES)


def test_phrases_of_a_zero_shot_judge_are_the_configs_or_the_words():
    raw = changed("concepts.church.judge", {"by": "zero-shot", "positive": ["a steeple"]})
    raw = changed("concepts.church.second_judge", {"by": "zero-shot"}, raw)
    config = parse_config(raw, "my.yaml", SHAPES)
    own, default = config.judge_settings("church"), config.judge_settings("church", "second_judge")
    assert own["positive"] == ["a steeple"] and own["negative"] == default["negative"]
    assert all("church" in phrase for phrase in default["positive"])
    assert config.judge_settings("fire", "second_judge") is None
    assert config.judge_settings("fire") == MINI["concepts"]["fire"]["judge"]
    raw = changed("concepts.church.retention", None, PAPER)
    elsewhere = parse_config(changed("concepts.church.judge", {"by": "zero-shot"}, raw), "my.yaml", SHAPES)
    assert elsewhere.judge_settings("church")["positive"] == ["a photo of a church"]
    assert "resnet50" not in elsewhere.used_assets and "clip" in elsewhere.used_assets


def test_an_experiment_fetches_what_it_uses_and_no_more():
    config = parse_config(PAPER, "paper.yaml", SHAPES)
    mini = {"mini-backbone", "mini-classifier", "mini-clip"}
    others = set(SHAPES) - {config.backbone.asset} | {"clip-large", "q16", "chameleon-vqgan"}
    every = set(load_catalogue(ROOT / "assets.yaml")) - mini - others
    assert set(config.used_assets) == every
    raw = changed("methods.stable-diffusion", ..., PAPER)
    del raw["concepts"]["nudity"], raw["methods"]["published"]["weights"]["nudity"]
    left_out = {"nudenet", "nsfw-classifier", "stable-diffusion", "safety-prompts"}
    assert every - set(parse_config(raw, "my.yaml", SHAPES).used_assets) == left_out
    q16 = parse_config(changed("concepts.nudity.second_judge", {"by": "q16"}, PAPER), "my.yaml", SHAPES)
    assert set(q16.used_assets) == every - {"nsfw-classifier"} | {"clip-large", "q16"}
    assert set(parse_config(MINI, "config.yaml", SHAPES).used_assets) == mini


def test_the_rehearsal_is_the_papers_config_but_for_sizes():
    """Where the two differ, the rehearsal would not show that the paper's experiment runs."""

    def leaves(node, key=""):
        if not isinstance(node, dict):
            return {key: node}
        return {name: value for k, v in node.items() for name, value in leaves(v, f"{key}.{k}").items()}

    paper = leaves(PAPER)
    rehearsal = leaves(yaml.safe_load((ROOT / "configs/rehearsal.yaml").read_text()))
    sizes = (
        "rows",
        ".used",
        ".passes",
        ".overrides.layers",
        ".size",
        ".steps",
        "rendering.shards",
        "rendering.batch_size",
        "window_prompts",
    )
    sizes += ("utility.general", "utility.captions", "axes.prompts", "axes.prefixes", ".implicit")
    sizes += tuple(f".neighbours.{label}" for label in PAPER["concepts"]["church"]["neighbours"])
    attacks = ("search", "inversion", "relearning")
    left_to_smoke = tuple(f".axes.{name}" for name in ("guidance", "temperature", *attacks))
    machine = (".experiment", ".assets.", ".backbone.device", ".backbone.dtype", ".backbone.threads")
    machine += left_to_smoke
    differing = {key for key in paper.keys() | rehearsal.keys() if paper.get(key) != rehearsal.get(key)}
    assert {key for key in differing if not key.endswith(sizes) and not key.startswith(machine)} == set()


@pytest.mark.parametrize(
    ("config", "key", "value", "words"),
    [
        pytest.param(config, *broken, id=f"{broken[0]}={str(broken[1])[:20]}")
        for config, table in ((MINI, BROKEN), (PAPER, BROKEN_ON_PRETRAINED))
        for broken in table
    ],
)
def test_broken_config_is_one_line_with_key_found_and_wanted(config, key, value, words):
    with pytest.raises(InputError) as caught:
        parse_config(changed(key, value, config), "my.yaml", SHAPES)
    message = str(caught.value)
    assert "\n" not in message and message.startswith("my.yaml: ")
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (
            "methods.released",
            {"variant": "released"},
            ["variant: released is not allowed", "emu3-gen", "Janus"],
        ),
        ("methods.own", {"variant": "ear", "overrides": {"encoding": "raw"}}, ["methods.own", "Janus"]),
        ("methods.published", PAPER["methods"]["published"], ["published is not allowed", "Janus"]),
        ("utility.captions", 10, ["found 10", "wanted 0", "does not see"]),
        ("axes.questions", True, ["axes.questions is not allowed", "does not see"]),
        ("backbone.image_size", 100, ["found 100", "a multiple of 8"]),
        ("concepts.church.window", 4097, ["at most 4096, the tokens of an image"]),
    ],
)
def test_nothing_is_asked_of_a_family_that_it_cannot_do(key, value, words):
    with pytest.raises(InputError) as error:
        parse_config(changed(key, value, EMU3), "emu3.yaml", SHAPES)
    assert all(word in str(error.value) for word in [key.split(".")[0], *words])


def test_drawing_settings_are_those_of_the_family():
    large = parse_config(changed("backbone.image_size", 720, EMU3), "emu3.yaml", SHAPES)
    assert (large.image_tokens, large.shape.forced_tokens) == (8100, 89)
    for key, value in (("image_size", 384), ("negative_prompt", "blurry")):
        with pytest.raises(InputError, match=f"backbone.{key}"):
            parse_config(changed(f"backbone.{key}", value, PAPER), "paper.yaml", SHAPES)
    with pytest.raises(InputError, match=r"utility\.captions: found 0, wanted 1 or more"):
        parse_config(changed("utility.captions", 0, PAPER), "paper.yaml", SHAPES)


def test_concepts_of_different_windows_are_not_erased_together_without_a_choice():
    raw = changed("methods.mine", {"variant": "ear", "erase": ["church", "van-gogh"]})
    raw = changed("concepts.van-gogh.window", 16, raw)
    words = r"mine\.overrides\.window is required because .* differ \(8 of church, 16 of van-gogh\)"
    with pytest.raises(InputError, match=words):
        parse_config(raw, "my.yaml", SHAPES)


def test_configs_of_the_repository_are_valid():
    for path in CONFIGS:
        config = parse_config(read_config(path), path.name, SHAPES)
        assert config.experiment == ("mini" if path.name == "config.yaml" else path.stem)


def test_a_context_with_anchors_is_one_of_safe_prompts_where_no_concept_has_any():
    raw = changed(
        "methods.mine", {"variant": "prefix-redirect"}, changed("concepts.fire.anchors", ["at dusk"])
    )
    both = {"variant": "prefix-redirect", "erase": ["church", "fire"]}
    config = parse_config(changed("methods.both", both, raw), "config.yaml", SHAPES)
    found = {
        (concept, method): config.settings(concept, method).variant.context
        for concept, method in (("church", "mine"), ("fire", "mine"), ("church", "both"))
    }
    assert list(found.values()) == ["mixed", "anchored", "anchored"]
    read = {(concept, context) for concept, _, context, _ in config.sequences()}
    assert read >= {("church", "mixed"), ("fire", "anchored"), ("church", "anchored")}
    fire = {"context": "anchored", "names": ["on fire"], "anchors": ["at dusk"]}
    assert config.pairing("fire", "anchored") == fire
    assert config.pairing("fire", "aligned") == {"context": "aligned"}


def test_a_method_is_its_variant_the_experiment_and_its_own_choices():
    raw = changed(
        "methods.mine",
        {"variant": "ear", "overrides": {"rows": "conditional", "eta": 2.0, "window": "image"}},
    )
    config = parse_config(changed("methods.wga", {"variant": "wga"}, raw), "config.yaml", SHAPES)
    ear, mine = config.settings("church", "ear"), config.settings("church", "mine")
    assert mine.variant == replace(ear.variant, rows="conditional", window=64)
    assert mine == replace(ear, variant=mine.variant, eta=2.0)
    assert (ear.layers, ear.eta) == (MINI["erasure"]["layers"], MINI["erasure"]["eta"])
    assert ear.variant.window == MINI["concepts"]["church"]["window"]
    assert config.settings("church", "wga").threshold is None
    assert config.trained_windows("church", "wga") == [MINI["concepts"]["church"]["window"]]
    assert Settings.from_dict(json.loads(json.dumps(mine.to_dict()))) == mine
    assert "lora" not in mine.to_dict()  # edited weights of before there was LoRA keep their bytes
    raw = changed("methods.mine", {"variant": "ear", "overrides": {"lora": {"rank": 4, "alpha": 8}}})
    low = parse_config(raw, "config.yaml", SHAPES).settings("church", "mine")
    assert low == replace(ear, lora=Lora(4, 8.0))
    assert Settings.from_dict(json.loads(json.dumps(low.to_dict()))) == low
