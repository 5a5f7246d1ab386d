"""Files of what a config no longer names: found whatever was taken out, and left out of the archive."""

import tarfile
from pathlib import Path

import pytest

from ear.export.archive import write_archive
from ear.files import write_json, write_text
from ear.integrity.strays import strays
from ear.paths import Paths
from tests.smoke_configs import joint_config, smoke_config

SMOKE = Path("results/smoke")
FIGURES = [f"{SMOKE}/figures/samples-church.png", f"{SMOKE}/figures/tradeoff.png"]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Results of two concepts, one of them also erased together with the other; with records and figures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("strays"))
        _make()
        yield


def _make():
    config, paths = joint_config(), Paths("smoke")
    made = [paths.general_prompts, paths.reference, paths.captioned, paths.table("metrics.csv"), paths.report]
    made += [paths.general(shard, file) for shard in (0, 1) for file in ("manifest.csv", "captions.csv")]
    for concept in config.concepts:
        of_concept = (
            paths.candidates,
            paths.evaluation_prompts,
            paths.rejected,
            paths.pair_manifest,
            paths.pairs,
        )
        made += [path(concept) for path in of_concept]
        made += [paths.source(concept, "grammar", "pairs.csv"), paths.dataset(concept)]
        made += [paths.streams(concept, seed, "aligned", "chat") for seed in config.seeds]
    for run in config.adapters():
        made += [paths.run("erased", *run, file) for file in ("windows.csv", "windows/W16.safetensors")]
    for run in config.runs():
        made += [paths.run("images", *run, f"shard{shard}/manifest.csv") for shard in (0, 1)]
        made += [paths.run(stage, *run, "verdicts.csv") for stage in ("evaluation", "attacks")]
        made += [paths.export(*run)]
    for path in made:
        write_text(path, "made up\n")
    for concept in ("church", "castle"):
        for name in (f"samples-{concept}.png", f"samples-{concept}.pdf"):
            write_text(SMOKE / "figures" / name, "a figure")
        for rule, output in (
            (f"render_pairs-{concept}", f"images/{concept}/pairs/manifest.csv"),
            (f"plot_samples-{concept}", f"figures/samples-{concept}.png"),
        ):
            write_json(SMOKE / f"logs/{rule}.json", {"outputs": {str(SMOKE / output): "0" * 64}})
            write_text(SMOKE / f"benchmarks/{rule}.tsv", "s\n")
    write_text(SMOKE / "figures/tradeoff.png", "a figure")
    write_json(SMOKE / "logs/tabulate.json", {"outputs": {f"{SMOKE}/tables/metrics.csv": "0" * 64}})
    write_json(SMOKE / "logs/verify.json", {"outputs": {}})
    write_text(SMOKE / "provenance.json", "{}")


def files():
    return [path for path in SMOKE.rglob("*") if path.is_file() and not path.name.startswith(".")]


def of_the_castle(path):
    """By its name alone; verdicts of the common adapter belong to both concepts, by their folders."""
    return any("castle" in part for part in path.parts)


def test_nothing_of_the_experiment_itself_is_one(results):
    figures = [
        *FIGURES,
        *(f"{SMOKE}/figures/samples-{one}.{kind}" for one in ("church", "castle") for kind in ("png", "pdf")),
    ]
    assert strays(joint_config(), figures) == []


def test_all_of_a_concept_that_was_taken_out_is_one_and_nothing_else(results):
    # Without the castle, the method that erases both goes too: smoke_config has neither.
    found = strays(smoke_config(), [*FIGURES, f"{SMOKE}/figures/samples-church.pdf"])
    wanted = {path for path in files() if of_the_castle(path) or "both" in path.parts}
    assert set(found) == wanted and found == sorted(found)
    assert len(wanted) > 50


@pytest.mark.parametrize(
    ("section", "keys", "parts"),
    [
        ("seeds", [0], {"seed1"}),
        ("rendering", {"shards": 1}, {"shard1"}),
    ],
)
def test_a_seed_or_a_shard_less(results, section, keys, parts):
    config = joint_config()
    value = keys if isinstance(keys, list) else getattr(config, section).model_copy(update=keys)
    fewer = config.model_copy(update={section: value})
    found = strays(fewer, [str(path) for path in files() if path.parts[2] == "figures"])
    assert set(found) == {path for path in files() if parts & set(path.parts)} != set()


def test_the_archive_has_what_the_config_names(results):
    figures = [*FIGURES, f"{SMOKE}/figures/samples-church.pdf"]
    write_archive("all.tar.gz", SMOKE, {})
    write_archive("mine.tar.gz", SMOKE, {}, left_out=set(strays(smoke_config(), figures)))
    with tarfile.open("all.tar.gz") as whole, tarfile.open("mine.tar.gz") as mine:
        names = [name.partition("/")[2] for name in whole.getnames()]
        kept = [name for name in names if not of_the_castle(Path(name)) and "both" not in Path(name).parts]
        assert [name.partition("/")[2] for name in mine.getnames()] == kept
    assert len(kept) < len(names)
