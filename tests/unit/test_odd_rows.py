"""Odd rows of published prompt files: found, told apart, left as they are."""

from ear.files import sha256_file
from ear.prompts.odd_rows import ODD_COLUMNS, odd_rows
from tests.unit.test_published_prompts import FILES, authors_files, findings, published, write

__all__ = ["authors_files", "published"]  # fixtures


def test_odd_rows_are_reported_and_not_mended(tmp_path):
    train = [dict(row) for row in FILES["train_church.json"]]
    train[0]["modified_prompt"] = "A small church on a hill"
    train[1]["modified_prompt"] = train[1]["original_prompt"]
    train[2]["original_prompt"] = "A chapel at night\u200b"
    train += [train[0], {**train[2], "original_prompt": "A church at\xa0night", "concept": "spire"}]
    test = [{"prompt": text} for text in ("A church. ", "A barn.", "A small church on a hill", "A church. ")]
    write(tmp_path, train_church=train, test_church=test)
    files = [tmp_path / name for name in ("train_church.json", "test_church.json", "coco_30k.csv")]
    before = [sha256_file(path) for path in files]
    table = odd_rows(*files, ["church"], "object")
    assert before == [sha256_file(path) for path in files]
    assert table.columns.tolist() == ODD_COLUMNS
    more = "differs from the unsafe prompt in more than"
    assert findings(table, "train_church.json") == [
        (0, "modified_prompt", f"{more} 'church'"),
        (0, "modified_prompt", "names 'church'"),
        (1, "modified_prompt", "equals the unsafe prompt"),
        (1, "modified_prompt", "names 'church'"),
        (2, "modified_prompt", f"{more} 'church'"),
        (2, "original_prompt", "does not name 'church'"),
        (2, "original_prompt", "holds U+200B"),
        (3, "modified_prompt", f"{more} 'church'"),
        (3, "modified_prompt", "names 'church'"),
        (3, "modified_prompt", "repeats row 0"),
        (3, "original_prompt", "repeats row 0"),
        (4, "concept", "is not 'church'"),
        (4, "modified_prompt", f"{more} 'spire'"),
        (4, "modified_prompt", "repeats row 2"),
        (4, "original_prompt", "does not name 'spire', its own concept"),
        (4, "original_prompt", "holds U+00A0"),
    ]
    assert findings(table, "test_church.json") == [
        (0, "prompt", "ends with a blank"),
        (1, "prompt", "does not name 'church'"),
        (2, "prompt", "is the safe prompt of training row 0"),
        (3, "prompt", "ends with a blank"),
        (3, "prompt", "repeats row 0"),
    ]
    assert findings(table, "coco_30k.csv") == [(0, "prompt", "names 'church'")]
    assert table["text"].iloc[0] == "A small church on a hill"
    assert table["text"].iloc[-1] == "A cat by a church."


def test_a_pair_that_names_a_concept_of_its_own(published):
    files = [published / name for name in ("train_nudity.json", "Six-CD_Nudity.csv", "coco_30k.csv")]
    table = odd_rows(*files, ["nude", "naked"], "unsafe")
    assert findings(table, "train_nudity.json")[:3] == [
        (0, "concept", "is not 'nude' or 'naked'"),
        (0, "safe_prompt", "begins with a blank"),
        (0, "unsafe_prompt", "does not name 'nude' or 'naked'"),
    ]
    assert findings(table, "Six-CD_Nudity.csv") == [
        (1, "prompt", "begins with a blank"),
        (1, "prompt", "ends with a blank"),
    ]


def test_a_table_without_findings_still_has_its_columns(published):
    files = [published / name for name in ("train_church.json", "test_church.json")]
    (published / "plain.csv").write_text("image_id,prompt\n1,A cat.\n")
    table = odd_rows(*files, published / "plain.csv", ["church"], "object")
    assert table.empty and table.columns.tolist() == ODD_COLUMNS


def test_what_is_odd_in_the_authors_files(authors_files, published):
    church = odd_rows(
        authors_files / "train_church.json",
        authors_files / "test_church.json",
        published / "coco_30k.csv",
        ["church"],
        "object",
    )
    in_pairs = findings(church, "train_church.json")
    assert len(in_pairs) == 14
    assert {finding for _, _, finding in in_pairs} == {"differs from the unsafe prompt in more than 'church'"}
    assert findings(church, "test_church.json") == [
        (38, "prompt", "does not name 'church'"),  # a cathedral
        (53, "prompt", "repeats row 0"),
    ]
    van_gogh = odd_rows(
        authors_files / "train_van_gogh.csv",
        authors_files / "test_van_gogh.csv",
        published / "coco_30k.csv",
        ["Van Gogh"],
        "style",
    )
    assert van_gogh.empty
