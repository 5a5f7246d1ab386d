"""The mini Liquid: what it is trained on is what plain transformers makes of the same sequences."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForCausalLM

from ear.models.chat_format import question
from ear.models.families import load_backbone
from ear.workflow.files import sha256_file
from ear.world.dataset import draw_training_set, load_training_set
from ear.world.grammar import Grammar
from ear.world.language_model import ASKED, Examples
from ear.world.liquid import build_tokenizer, train_liquid
from ear.world.scenes import OBJECTS
from ear.world.sentences import KINDS, caption, frames
from tests.tiny import tiny_backbone
from tests.unit.world.test_world_backbone import ARCHITECTURE, TRAINING

pytestmark = pytest.mark.slow
OWN = {key: ARCHITECTURE[key] for key in ("hidden", "layers", "intermediate", "heads")}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("results") / "world"
    draw_training_set(folder, 40, seed=1)
    return folder


@pytest.fixture(scope="module")
def janus(world):
    backbone = tiny_backbone(grid=8)
    backbone.save(world.parent / "janus")
    return world.parent / "janus"


@pytest.fixture(scope="module")
def folder(world, janus):
    train_liquid(world, janus, world.parent / "liquid", architecture=OWN, training=TRAINING, seed=0)
    return world.parent / "liquid"


@pytest.fixture(scope="module")
def backbone(folder):
    return load_backbone(str(folder), "float32", "cpu")


@pytest.fixture(scope="module")
def examples(backbone, world):
    return Examples(backbone, *load_training_set(world))


def own_loss(backbone, before, after):
    """Cross-entropy of some ids behind others, as transformers computes it, and how many there are."""
    ids = torch.tensor([[*before, *after]])
    labels = torch.tensor([[-100] * len(before) + [*after]])
    return backbone.model(input_ids=ids, labels=labels).loss.item() * len(after), len(after)


def mean(losses):
    sums, counts = zip(*losses, strict=True)
    return sum(sums) / sum(counts)


def test_every_caption_is_known():
    tokenizer = build_tokenizer()
    texts = [
        caption(f, o, True, True, described=k) for f in frames()[::7] for o in OBJECTS for k in ((), KINDS)
    ]
    texts += Grammar("church", "object", "church", 1).target(20)["prompt"].tolist()
    texts += [f"{text} Generate an image based on this description.<boi>" for text in texts[:1]]
    texts += [
        f"<start_of_turn>user\n{question(thing)}<end_of_turn>\n<start_of_turn>model\n" for thing in ASKED
    ]
    assert not any(tokenizer.unk_token_id in ids for ids in tokenizer(texts).input_ids)
    assert tokenizer.unk_token_id in tokenizer("a zebra").input_ids


def test_image_loss(backbone, examples, world):
    """Row by row without padding; dropped prompts become `<unconditional><boi>`."""
    images, table = load_training_set(world)
    dropped = torch.tensor([False, True, False, True])
    losses = []
    for row, empty in enumerate(dropped):
        text = f"{table['caption'][row]} Generate an image based on this description.<boi>"
        ids = backbone.tokenizer("<unconditional><boi>" if empty else text).input_ids
        codes = backbone.image_tokenizer.codes([Image.fromarray(images[row])])[0] + backbone.first_code
        losses.append(own_loss(backbone, ids, codes.tolist()))
    assert examples.image_loss(np.arange(4), dropped).item() == pytest.approx(mean(losses), rel=1e-5)


def test_caption_loss(backbone, examples, world):
    images, table = load_training_set(world)
    losses = []
    for row in range(3):
        asked = backbone.question_inputs("describe the image", [Image.fromarray(images[row])])["input_ids"][0]
        answer = backbone.tokenizer(table["description"][row], add_special_tokens=False).input_ids
        losses.append(own_loss(backbone, asked.tolist(), [*answer, backbone.tokenizer.eos_token_id]))
    assert examples.caption_loss(np.arange(3)).item() == pytest.approx(mean(losses), rel=1e-5)


def test_questions_are_answered_as_each_alone(backbone, examples, world):
    images, _ = load_training_set(world)
    words = backbone.tokenizer.convert_tokens_to_ids(["no", "yes"])
    for column, thing in enumerate(ASKED):
        asked = backbone.question_inputs(question(thing), [Image.fromarray(images[row]) for row in range(3)])
        said = backbone.model(**asked).logits[:, -1].argmax(-1)
        right = torch.tensor(words)[examples.shown[:3, column].long()]
        assert torch.equal(examples.rightly_answered(np.arange(3))[:, column], said == right)


def test_the_image_tokenizer_stays_the_janus_in_half_precision(backbone, folder, janus):
    ours = backbone.image_tokenizer.vq.state_dict()
    theirs = load_backbone(str(janus), "float32", "cpu").model.model.vqmodel.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name].half().float()) for name in ours)
    plain = AutoModelForCausalLM.from_pretrained(folder)
    assert not any("image_tokenizer" in name for name in plain.state_dict())
    assert plain.dtype == torch.float32


def test_same_seed_same_bytes(world, janus, folder, tmp_path):
    torch.manual_seed(99)
    train_liquid(world, janus, tmp_path / "again", architecture=OWN, training=TRAINING, seed=0)
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    assert len(files) >= 6
    assert all(sha256_file(tmp_path / "again" / file) == sha256_file(folder / file) for file in files)
