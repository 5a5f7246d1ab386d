"""The authors' prompt files: every format, and every way to be malformed."""

import csv
import json
import os
import runpy
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ear.config import parse_config
from ear.config.parsing import read_config
from ear.config.sections import PUBLIC_PROMPTS
from ear.errors import InputError
from ear.models.catalogue import load_catalogue, shapes_of
from ear.prompts.coco import read_general
from ear.prompts.published import read_pairs, read_public, read_targets
from ear.prompts.tables import FRAMES, PAIR_COLUMNS, PROMPT_COLUMNS, prompt_of
from ear.workflow.files import read_csv, write_csv

ROOT = Path(__file__).parents[3]
DATA = os.environ.get("EAR_PROMPT_FILES", "")
"""A folder with the authors' own files, where somebody has them."""
ASSETS = Path(os.environ.get("EAR_ASSETS", ROOT / "resources"))
"""A folder with <asset>/<file>, as `snakemake assets` fetches them."""

# A few rows in each of the real formats.
FILES = {
    "train_church.json": [
        {
            "original_prompt": f"A church {place}",
            "modified_prompt": f"A barn {place}",
            "concept": "church",
            "replaced": "barn",
        }
        for place in ("on a hill", "by a lake", "at night")
    ],
    "test_church.json": [{"prompt": f"A {kind} church."} for kind in ("white", "small", "Provençal")],
    "train_nudity.json": [
        {
            "unsafe_prompt": f"A weirdo {deed}.",
            "safe_prompt": f" A person {deed}.",
            "concept": "weirdo",
            "category": "sexual",
        }
        for deed in ("sings", "waits", "reads")
    ],
    "train_van_gogh.csv": "unsafe_prompt,safe_prompt\n"
    + "".join(f"a {thing} in Van Gogh,a {thing}\n" for thing in ("cat", "night café", "boat")),
    "test_van_gogh.csv": ",case_number,prompt,evaluation_seed,artist\n"
    '0,0,"A Wheatfield, with Cypresses by Vincent van Gogh",2219,Vincent van Gogh\n'
    "1,1,La Mousmé by Vincent van Gogh,4518,Vincent van Gogh\n",
    "Six-CD_Nudity.csv": 'case_number,evaluation_seed,prompt\n7,1,"a ""nude"", painted"\n9,2, naked statue \n',
    "coco_30k.csv": "image_id,source,prompt,evaluation_seed,width,height\n"
    "42,coco,A cat by a church.,1,640,480\n7,coco,Two dogs.,2,640,480\n99,coco,Two dogs.,3,640,480\n",
}


def write(folder, **changed):
    """The files in a folder, some of them with other content (by stem)."""
    for name, content in FILES.items():
        content = changed.get(Path(name).stem, content)
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def published(tmp_path):
    return write(tmp_path)


@pytest.fixture
def authors_files():
    if not DATA:
        pytest.skip("EAR_PROMPT_FILES names no folder with the authors' files")
    return Path(DATA)


def test_pairs_of_every_format(published):
    church = read_pairs(published / "train_church.json", "church", "object", 2)
    assert church.columns.tolist() == PAIR_COLUMNS
    assert church.values.tolist() == [
        ["church/pair/0000", "A church on a hill", "A barn on a hill", "church", "barn", "published"],
        ["church/pair/0001", "A church by a lake", "A barn by a lake", "church", "barn", "published"],
    ]
    nudity = read_pairs(published / "train_nudity.json", "nudity", "unsafe")
    assert nudity.columns.tolist() == PAIR_COLUMNS
    assert nudity.values.tolist()[2] == [
        "nudity/pair/0002", "A weirdo reads.", " A person reads.", "weirdo", "(removed)", "published",
    ]  # fmt: skip
    van_gogh = read_pairs(published / "train_van_gogh.csv", "van-gogh", "style", 3)
    assert van_gogh.columns.tolist() == PAIR_COLUMNS
    assert van_gogh.values.tolist()[1] == [
        "van-gogh/pair/0001", "a night café in Van Gogh", "a night café", "van-gogh", "(removed)", "published",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "prompts"),
    [
        ("test_church.json", ["A white church.", "A small church.", "A Provençal church."]),
        (
            "test_van_gogh.csv",
            ["A Wheatfield, with Cypresses by Vincent van Gogh", "La Mousmé by Vincent van Gogh"],
        ),
        ("Six-CD_Nudity.csv", ['a "nude", painted', " naked statue "]),
    ],
)
def test_target_prompts_of_every_format(published, name, prompts):
    targets = read_targets(published / name, "x", "unsafe", rows=len(prompts))
    assert targets.columns.tolist() == PROMPT_COLUMNS
    assert targets["prompt"].tolist() == prompts
    assert targets["prompt_id"].tolist() == [f"x/target/{row:04d}" for row in range(len(prompts))]
    assert set(targets["prompt_set"]) == {"target"} and targets["object"].isna().all()


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(
    lambda text: text.strip()
)
# All-numeric columns are no prompts, and the CSV reader takes a byte order mark at the start for one.
SENTENCES = TEXTS.map(lambda text: f"a {text}")


@settings(deadline=None, max_examples=20)
@given(unsafe=st.lists(SENTENCES, min_size=1, max_size=5), data=st.data())
def test_any_text_comes_through_as_it_is(tmp_path_factory, unsafe, data):
    folder = tmp_path_factory.mktemp("texts")
    safe = [data.draw(SENTENCES) for _ in unsafe]
    with open(folder / "pairs.csv", "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, quoting=csv.QUOTE_ALL)
        writer.writerows([("unsafe_prompt", "safe_prompt"), *zip(unsafe, safe, strict=True)])
    rows = [{"unsafe_prompt": one, "safe_prompt": other} for one, other in zip(unsafe, safe, strict=True)]
    (folder / "pairs.json").write_text(json.dumps(rows))
    for name in ("pairs.csv", "pairs.json"):
        pairs = read_pairs(folder / name, "x", "object")
        assert pairs["unsafe_prompt"].tolist() == unsafe
        assert pairs["safe_prompt"].tolist() == safe
    write_csv(folder / "ours.csv", pairs)
    assert read_csv(folder / "ours.csv", PAIR_COLUMNS).equals(pairs)


PAIR = {"unsafe_prompt": "a", "safe_prompt": "b"}


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b'{"unsafe_prompt": "a"}', "found {'unsafe_prompt': 'a'}, wanted a list of objects with original_p"),
        (b'[{"unsafe_prompt": "a"}, "b"]', r"found .*'b'\], wanted a list of objects"),
        (b"[]", "found no rows, wanted rows with original_prompt, modified_prompt, concept, replaced or "),
        ([{"unsafe_prompt": "a", "prompt": "b"}], "found columns unsafe_prompt, prompt, wanted original_p"),
        ([PAIR, PAIR, {"unsafe_prompt": "a"}], "row 2: safe_prompt: found nothing, wanted text"),
        ([{**PAIR, "concept": "x"}, PAIR], "row 1: concept: found nothing, wanted text"),
        ([{**PAIR, "unsafe_prompt": " \t"}], r"row 0: unsafe_prompt: found ' \\t', wanted text"),
        ([{**PAIR, "unsafe_prompt": 3}], "row 0: unsafe_prompt: found 3, wanted text"),
        (
            [{**PAIR, "safe_prompt": "\ud800"}],
            r"row 0: safe_prompt: found half of a character in '\\ud800', wanted text",
        ),
    ],
)
def test_malformed_json_is_one_clear_line(tmp_path, content, error):
    path = tmp_path / "pairs.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(InputError, match=rf"^{path}: ?{error}") as caught:
        read_pairs(path, "x", "object")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"prompt\n", "found no rows, wanted rows with prompt"),
        (b"prompts,seed\na church,1\n", "found columns prompts, seed, wanted prompt"),
        (b"prompt,seed\na church,1\n,2\n", "row 1: prompt: found nothing, wanted text"),
        (b"prompt,seed\n12,1\n13,2\n", "row 0: prompt: found 12, wanted text"),
    ],
)
def test_malformed_csv_is_one_clear_line(tmp_path, content, error):
    path = tmp_path / "prompts.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"^{path}: ?{error}") as caught:
        read_targets(path, "x", "object")
    assert "\n" not in str(caught.value)


def test_missing_files_and_missing_rows(published):
    for name in ("none.json", "none.csv"):
        with pytest.raises(InputError, match=rf"{name}: (not found|No such file)"):
            read_pairs(published / name, "x", "object")
    with pytest.raises(InputError, match=r"train_church\.json: found 3 rows, wanted 49 or more"):
        read_pairs(published / "train_church.json", "church", "object", 49)
    with pytest.raises(InputError, match=r"test_church\.json: found 3 rows, wanted 2"):
        read_targets(published / "test_church.json", "church", "object", 2)


def run_script(name, folder, **snakemake):
    namespace = {key: SimpleNamespace(**value) for key, value in snakemake.items()}
    job = SimpleNamespace(log=[str(folder / "job.log")], **namespace)
    runpy.run_path(str(ROOT / "scripts" / name), init_globals={"snakemake": job})


PUBLIC = {"column": "prompt", "where": {}, "used": None}


def prompts_job(folder, out, **files):
    write_csv(out / "general.csv", read_general(folder / "coco_30k.csv", 2, "first", 42))
    run_script(
        "prompts_read_prompts.py",
        out,
        input={
            "prompts": str(folder / "asset.json"),
            "public": [str(folder / "asset.json")],
            "general": str(out / "general.csv"),
        },
        output={name: str(out / f"{name}.csv") for name in ("candidates", "evaluation")},
        wildcards={"concept": "church"},
        params={
            "kind": "object",
            "public": {
                "public-mine": PUBLIC | {"asset": folder.name, "files": ["test_church.json"], "rows": 3}
            },
            "indirect": {"implicit": ["a spire above a nave"], "neighbours": {"palace": "a castle"}},
            "files": {
                "pairs": "train_church.json",
                "pair_rows": 2,
                "target": "test_church.json",
                "target_rows": 3,
                "target_used": 2,
            }
            | files,
        },
    )


def test_the_job_writes_the_tables_that_the_grammar_writes(published, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    prompts_job(published, out)
    assert len(read_csv(out / "candidates.csv", PAIR_COLUMNS)) == 2
    evaluation = read_csv(out / "evaluation.csv", PROMPT_COLUMNS)
    assert evaluation["prompt_id"].tolist() == [
        *(f"church/target/000{number}" for number in range(2)),  # of 3: target_used
        *(f"church/public-mine/000{number}" for number in range(3)),
        "church/implicit/0000",
        *(f"church/neighbours/000{number}" for number in range(len(FRAMES))),
        *("coco/42", "coco/7"),
    ]
    neighbours = evaluation[evaluation["prompt_set"] == "neighbours"]
    assert set(neighbours["object"]) == {"palace"} and neighbours["prompt"].str.contains("a castle").all()


def test_the_job_ends_with_one_line(published, tmp_path, capsys):
    with pytest.raises(SystemExit):
        prompts_job(published, tmp_path, pair_rows=49)
    assert capsys.readouterr().err == (
        f"error: {published / 'train_church.json'}: found 3 rows, wanted 49 or more\n"
    )
    assert not (tmp_path / "candidates.csv").exists()


def write_rows(path, rows):
    """Rows in the format of a file's suffix, as other studies publish them."""
    if path.suffix == ".csv":
        write_csv(path, pd.DataFrame(rows))
    elif path.stem == "numbered":
        objects = {
            row: {"prompt": one["prompt"], "label": {one["label"]: ["why"]}} for row, one in enumerate(rows)
        }
        path.write_text(json.dumps(objects))
    else:
        path.write_text(json.dumps(rows))
    return path.name


WORDS = st.sampled_from(["a statue", "a torso", "a child", "a bust, seen twice", "Skulptur, 12 years old"])


@settings(deadline=None, max_examples=30)
@given(
    rows=st.lists(
        st.tuples(WORDS, st.sampled_from(["Statue--a", "Statue--b", "Arms"])), min_size=1, max_size=8
    ),
    name=st.sampled_from(["rows.csv", "numbered.json", "listed.json"]),
    kind=st.sampled_from(["unsafe", "object"]),
    used=st.none() | st.integers(1, 4),
)
def test_rows_are_filtered_counted_and_then_freed_of_minors(tmp_path_factory, rows, name, kind, used):
    folder = tmp_path_factory.mktemp("set")
    table = [{"prompt": text, "label": label} for text, label in rows]
    chosen = PUBLIC | {
        "files": [write_rows(folder / name, table)],
        "where": {"label": "Statue--"},
        "used": used,
    }
    meant = [(row, text) for row, (text, label) in enumerate(rows) if label.startswith("Statue")]
    minors = ("a child", "Skulptur, 12 years old")
    wanted = [one for one in meant if kind == "object" or one[1] not in minors][:used]

    def read(count):
        return read_public(folder, "x", kind, "public-y", chosen | {"rows": count})

    with pytest.raises(InputError, match=f"found {len(meant)} rows that are meant, wanted {len(meant) + 1}"):
        read(len(meant) + 1)
    if not wanted:
        with pytest.raises(InputError):
            read(len(meant))
        return
    found = read(len(meant))
    assert found["prompt"].tolist() == [text for _, text in wanted]
    assert [int(one.rpartition("@")[2].rpartition("/")[2]) for one in found["prompt_id"]] == [
        row for row, _ in wanted
    ]
    assert found["prompt_id"].is_unique and found["object"].isna().all()
    # Images of one text are of one prompt, which its first row names.
    assert prompt_of(found["prompt_id"]).nunique() == found["prompt"].nunique()


def test_other_formats_of_prompt_sets(tmp_path):
    listed = write_rows(tmp_path / "listed.json", [{"monet": ["lilies"]}, {"gogh": ["stars", "crows"]}])
    (tmp_path / "object.json").write_text('{"monet": ["a pond"], "gogh": ["a café"]}')
    read = lambda **chosen: read_public(tmp_path, "x", "style", "public-y", PUBLIC | chosen)  # noqa: E731
    named = read(files=[listed, "object.json"], where={"concept": "gogh"}, rows=3)
    assert named["prompt"].tolist() == ["stars", "crows", "a café"]
    assert named["prompt_id"].tolist() == [
        f"x/public-y/000{row}" for row in (1, 2, 4)
    ]  # on from file to file
    classes = {"column": "sentence", "labels": {"horn": "French horn", "fish": "tench"}}
    table = [{"sentence": f"a {name}", "class": name} for name in ("church", "fish", "horn", "fish")]
    chosen = classes | {"files": [write_rows(tmp_path / "classes.csv", table)], "object": "class", "rows": 3}
    retention = read(**chosen)
    assert retention["object"].tolist() == ["tench", "French horn", "tench"]
    assert retention["prompt_id"].str[-10:].tolist() == ["lic-y/0001", "lic-y/0002", "/0001@0003"]


@pytest.mark.parametrize(
    ("content", "chosen", "error"),
    [
        ('{"a": 1}', {}, "wanted objects with texts or lists of texts"),
        ('{"a": {"prompt": "b"}, "c": 3}', {}, "wanted objects with texts or lists of texts"),
        ("[]", {}, "wanted objects"),
        ('{"a": {"prompt": "b"}}', {"where": {"label": "x"}}, "found columns prompt, wanted also label"),
        (
            '{"a": {"prompt": "b"}, "c": {"prompt": " "}}',
            {"rows": 2},
            "row 1: prompt: found ' ', wanted text",
        ),
        ('{"x": [3], "y": []}', {}, "row 0: prompt: found 3, wanted text"),
    ],
)
def test_malformed_prompt_sets_are_one_clear_line(tmp_path, content, chosen, error):
    (tmp_path / "set.json").write_text(content)
    with pytest.raises(InputError, match=error) as caught:
        read_public(tmp_path, "x", "object", "public-y", PUBLIC | {"files": ["set.json"], "rows": 1} | chosen)
    assert str(caught.value).startswith(str(tmp_path / "set.json")) and "\n" not in str(caught.value)


def test_the_authors_church_files(authors_files):
    pairs = read_pairs(authors_files / "train_church.json", "church", "object", 49)
    assert len(pairs) == 49 and set(pairs["concept"]) == {"church"}
    assert pairs["pair_id"].iloc[-1] == "church/pair/0048" and "(removed)" not in set(pairs["replacement"])
    assert all(map(str.__contains__, pairs["safe_prompt"], pairs["replacement"]))
    assert len(read_pairs(authors_files / "train_church.json", "church", "object")) == 55
    targets = read_targets(authors_files / "test_church.json", "church", "object", 84)
    assert targets["prompt"].nunique() == 83 and targets["prompt_id"].is_unique


def test_the_authors_van_gogh_files(authors_files):
    pairs = read_pairs(authors_files / "train_van_gogh.csv", "van-gogh", "style", 50)
    assert (pairs["unsafe_prompt"] == pairs["safe_prompt"] + " in Van Gogh").all()
    targets = read_targets(authors_files / "test_van_gogh.csv", "van-gogh", "style", 50)
    assert targets["prompt"].str.endswith(" by Vincent van Gogh").all()
    assert targets["prompt"].iloc[0] == "A Wheatfield, with Cypresses by Vincent van Gogh"


@pytest.mark.parametrize("asset", PUBLIC_PROMPTS)
def test_prompt_sets_of_other_studies_as_fetched(asset):
    if not (ASSETS / asset).exists():
        pytest.skip(f"{asset} is not in {ASSETS}, which EAR_ASSETS names")
    config = parse_config(
        read_config(ROOT / "configs/janus-pro-7b.yaml"), "x", shapes_of(load_catalogue(ROOT / "assets.yaml"))
    )
    for name, concept in config.concepts.items():
        for one, chosen in concept.prompt_sets.items():
            if chosen.asset == asset:
                prompts = read_public(ASSETS / asset, name, concept.kind, one, chosen.model_dump())
                assert 0.95 * chosen.count <= len(prompts) <= chosen.count  # some speak of minors
