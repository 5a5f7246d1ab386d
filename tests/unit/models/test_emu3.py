"""An Emu3 folder: how its images are drawn is a setting, and a tokenizer that is not Emu3's is refused."""

import shutil

import pytest

from ear.erasure.edited_weights import load_edited_for
from ear.errors import InputError
from ear.models.emu3 import NEGATIVE, Emu3
from ear.models.families import load_backbone
from tests.tiny import tiny_backbone
from tests.tiny_emu3 import ROW_END, tiny_emu3
from tests.unit.erasure.test_edited_weights import changed, save
from tests.unit.models.test_loading import edited


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("emu3"), tiny_emu3()
    made.model.save_pretrained(folder)
    made.processor.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "emu3")


def load(folder, **drawing):
    return load_backbone(str(folder), "float32", "cpu", **{"image_size": 8, **drawing})


def test_drawing_settings_are_taken_and_said(folder):
    plain, small = load(folder), load(folder, image_size=6, negative_prompt="a dog")
    assert plain.drawing == f"8 × 8 pixels, negative prompt {NEGATIVE!r}"
    assert small.drawing == "6 × 6 pixels, negative prompt 'a dog'"
    assert plain.num_image_tokens == 16 and small.num_image_tokens == 9
    assert plain.fingerprint() == small.fingerprint() and plain.source() != small.source()
    assert (
        plain.encode(["a dog"], "chat").ids[0].tolist()
        == plain.tokenizer("<|extra_203|>a dog<|image start|>4*4<|image token|>").input_ids
    )
    assert Emu3(plain.model, plain.processor).image_size == (512, 512)


@pytest.mark.parametrize("size", [0, -8, 9])
def test_a_size_that_is_no_multiple_of_a_codes_pixels_is_one_line(folder, size):
    with pytest.raises(InputError, match=f"image_size: found {size}, wanted .* a multiple of 2$"):
        load(folder, image_size=size)


def test_a_size_beyond_the_models_context_is_one_line(folder):
    tokens = 16 * 16 + 15  # codes and the ends of rows but for the last
    words = f"image_size: found 32, whose images have {tokens} tokens, wanted fewer .* context of 128$"
    with pytest.raises(InputError, match=words):
        load(folder, image_size=32)


def test_janus_has_no_size_to_set(tmp_path):
    made = tiny_backbone()
    made.model.save_pretrained(tmp_path)
    made.processor.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="image_size: found 512, wanted none: janus models have no such"):
        load_backbone(str(tmp_path), "float32", "cpu", image_size=512)


def a_gap(config):
    config["vocabulary_map"]["<|visual token 000003|>"] += 40


def fewer_codes(config):
    del config["vocabulary_map"]["<|visual token 000031|>"]


def another_row_end(config):
    config["vocabulary_map"][ROW_END] -= 1


def no_row_end(config):
    del config["vocabulary_map"][ROW_END]


def begun_by_itself(tokenizer):
    bos = next(token["id"] for token in tokenizer["added_tokens"] if token["content"] == "<|extra_203|>")
    tokenizer["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "<|extra_203|>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {
            "<|extra_203|>": {"id": "<|extra_203|>", "ids": [bos], "tokens": ["<|extra_203|>"]}
        },
    }


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("config.json", a_gap, "found 32 visual tokens up to id .*, wanted 32 of consecutive ids below"),
        ("config.json", fewer_codes, "found 31 visual tokens up to id .*, wanted 32 of consecutive"),
        (
            "config.json",
            another_row_end,
            "extra_200.*: found .*, wanted .* as in config.json's vocabulary_map",
        ),
        ("config.json", no_row_end, "extra_200.*: found .*, wanted None as in config.json's vocabulary_map"),
        ("tokenizer_config.json", {"pad_token": None}, "pad_token: found None, wanted"),
        ("tokenizer_config.json", {"bos_token": "a"}, "wanted a first, and only once"),
        ("tokenizer.json", begun_by_itself, "wanted <.extra_203.> first, and only once"),
        ("tokenizer.json", {"decoder": {"type": "Fuse"}}, "wanted its blanks kept"),
        ("processor_config.json", lambda s: s["image_processor"].update(image_std=[1, 1, 1]), "wanted 0.5"),
    ],
)
def test_a_checkpoint_that_would_draw_something_else_is_one_line(folder, file, change, said):
    edited(folder / file, change)
    with pytest.raises(InputError, match=said) as refused:
        load(folder)
    assert "\n" not in str(refused.value) and str(folder) in str(refused.value)


@pytest.mark.parametrize(("by", "of"), [(tiny_backbone, tiny_emu3), (tiny_emu3, tiny_backbone)])
def test_edited_weights_of_another_family_are_refused(by, of, tmp_path):
    made = by()
    path = save(tmp_path / "weights.safetensors", changed(made), made)
    with pytest.raises(InputError, match=r"found (shape|weights edited from backbone)") as refused:
        load_edited_for(of(), path)
    assert "\n" not in str(refused.value) and str(path) in str(refused.value)
