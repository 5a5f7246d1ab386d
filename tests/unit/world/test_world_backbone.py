"""The mini backbone: its processor, image tokenizer and training, and its use through plain transformers."""

import re

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import JanusForConditionalGeneration, JanusProcessor

from ear.models.chat_format import caption_prompt, image_prompt, question
from ear.models.janus import Janus
from ear.workflow.files import sha256_file
from ear.world.backbone import build_backbone, build_clip_tokenizer, build_processor, train_backbone
from ear.world.classifiers import CLIP_MODEL
from ear.world.dataset import draw_training_set, load_training_set
from ear.world.language_model import ASKED, Examples
from ear.world.scenes import OBJECTS
from ear.world.sentences import KINDS, caption, frames
from ear.world.vq import decode, load_vq, quantise, rate_at, to_pixels, train_vq

pytestmark = pytest.mark.slow

IMAGES = 40
VQ = {
    **{"base_channels": 32, "latent_channels": 32, "embed_dim": 8, "codes": 32, "grid": 8, "steps": 6},
    **{"free_steps": 3, "batch_size": 4, "learning_rate": 4e-3, "warmup_steps": 2, "commitment": 0.25},
    **{"decoder_steps": 2, "decoder_learning_rate": 2e-3, "held_out": 8},
}
ARCHITECTURE = {
    **{"hidden": 32, "layers": 2, "intermediate": 48, "heads": 2, "guidance": 1.5},
    **{"vision_hidden": 32, "vision_layers": 1, "vision_heads": 2},
}
TRAINING = {
    **{"steps": 3, "batch_size": 4, "caption_batch_size": 2, "question_batch_size": 2, "held_out": 8},
    **{"caption_weight": 0.5, "learning_rate": 2e-3, "matrix_learning_rate": 5e-3, "warmup_steps": 1},
    **{"weight_decay": 0.05, "prompt_dropout": 0.3},
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "world"
    draw_training_set(folder, IMAGES, seed=1)
    return folder


@pytest.fixture(scope="module")
def vq(world):
    """An image tokenizer after a few steps of training, and what it is worth."""
    path = world.parent / "vq" / "vq.safetensors"
    return path, train_vq(world, path, VQ, seed=0)[0]


@pytest.fixture(scope="module")
def vq_file(vq):
    return vq[0]


@pytest.fixture(scope="module")
def folder(world, vq_file):
    """A backbone folder after a few steps of training."""
    path = world.parent / "backbone" / "model"
    train_backbone(world, vq_file, path, architecture=ARCHITECTURE, training=TRAINING, seed=0)
    return path


@pytest.fixture(scope="module")
def model(folder):
    return JanusForConditionalGeneration.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def processor(folder):
    return JanusProcessor.from_pretrained(folder)


class TestProcessor:
    @pytest.mark.parametrize("name", ["backbone", "clip"])
    def test_every_caption_is_known_and_short_enough(self, name):
        longest = CLIP_MODEL["text_cfg"]["context_length"]
        tokenizer = build_processor(64).tokenizer if name == "backbone" else build_clip_tokenizer(longest)
        texts = [
            caption(f, o, True, True, described=k)
            for f in frames()[::7]
            for o in OBJECTS
            for k in ((), KINDS)
        ]
        texts += [caption(f, "car", True, False, sepia=True) for f in frames()[::7]]
        ids = tokenizer(texts)["input_ids"]
        assert not any(tokenizer.unk_token_id in row for row in ids)
        assert max(map(len, ids)) <= longest
        assert tokenizer.unk_token_id in tokenizer("a zebra")["input_ids"]

    def test_prompt_for_an_image(self, processor):
        text = image_prompt(processor, "A red church, at night")
        assert text == "<|User|>: A red church, at night\n\n<|Assistant|>:"
        encoded = processor(
            text=[text, image_prompt(processor, "a car")], generation_mode="image", padding=True
        )
        tokens = processor.tokenizer.convert_ids_to_tokens(encoded["input_ids"][0])
        body = ["<|User|>", ":", "a", "red", "church", ",", "at", "night", "<|Assistant|>", ":"]
        assert tokens == ["<｜begin▁of▁sentence｜>", *body, "<begin_of_image>"]
        short = processor.tokenizer.convert_ids_to_tokens(encoded["input_ids"][1])
        assert short[:4] == ["<｜▁pad▁｜>"] * 4 and encoded["attention_mask"][1].tolist() == [0] * 4 + [1] * 8

    def test_prompt_with_an_image(self, processor):
        text = caption_prompt(processor)
        assert text == "<|User|>: <image_placeholder>\ndescribe the image\n\n<|Assistant|>:"
        picture = Image.fromarray(np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3))
        encoded = processor(text=[text], images=[picture], return_tensors="pt")
        assert (encoded["input_ids"] == processor.tokenizer.image_token_id).sum() == 64
        torch.testing.assert_close(encoded["pixel_values"][0], to_pixels(np.array(picture)[None])[0])


class TestImageTokenizer:
    def test_training_pass_agrees_with_transformers(self, world, vq_file):
        vq = load_vq(vq_file)
        pixels = to_pixels(load_training_set(world)[0][:8])
        with torch.no_grad():
            _, rows, indices = quantise(vq, pixels)
            assert torch.equal(indices, vq.encode(pixels).image_tokens)
            theirs = vq.decode(indices.view(len(pixels), -1))
            torch.testing.assert_close(decode(vq, rows), theirs, atol=1e-5, rtol=0)

    def test_training_lowers_the_error(self, world, vq, tmp_path):
        quality, curve = train_vq(world, tmp_path / "vq", VQ | {"steps": 20}, seed=0)
        assert quality["psnr_db"] > vq[1]["psnr_db"] + 0.2
        assert curve["step"].tolist() == [20, 2] and curve["stage"].tolist() == ["tokenizer", "decoder"]

    def test_the_decoders_own_steps_change_the_decoder_alone(self, world, vq_file, tmp_path):
        train_vq(world, tmp_path / "vq", VQ | {"decoder_steps": 3}, seed=0)
        before, after = load_file(vq_file), load_file(tmp_path / "vq")
        moved = {name for name in before if not torch.equal(before[name], after[name])}
        assert moved
        assert all(name.startswith(("decoder.", "post_quant_conv.")) for name in moved)

    def test_same_seed_same_bytes(self, world, vq_file, tmp_path):
        torch.manual_seed(99)
        train_vq(world, tmp_path / "vq", VQ, seed=0)
        assert sha256_file(tmp_path / "vq") == sha256_file(vq_file)


class TestBackbone:
    def test_text_to_image_through_transformers(self, model, processor):
        inputs = processor(
            text=[image_prompt(processor, text) for text in ("a red church at sunset", "a car")],
            generation_mode="image",
            padding=True,
            return_tensors="pt",
        )
        assert model.generation_config.guidance_scale == 1.5
        tokens = model.generate(**inputs, generation_mode="image", do_sample=True)
        assert tokens.shape == (2, 64) and tokens.min() >= 0 and tokens.max() < 32
        pixels = model.decode_image_tokens(tokens)  # (B, H, W, 3)
        images = processor.postprocess(list(pixels.float()), return_tensors="pt")["pixel_values"]
        assert images.shape == (2, 3, 64, 64) and images.dtype == torch.uint8

    def test_image_loss_is_that_of_transformers_own_rows(self, model, processor, world):
        """Row by row without padding, next to the batched loss with left padding and dropped prompts."""
        images, table = load_training_set(world)
        examples = Examples(Janus(model, processor), images, table)
        rows, dropped = np.arange(6), torch.tensor([False, True, False, False, True, False])
        losses = []
        for row, empty in zip(rows, dropped, strict=True):
            text = image_prompt(processor, table["caption"][row])
            ids = processor(text=[text], generation_mode="image", return_tensors="pt")["input_ids"]
            if empty:
                ids[:, 1:-1] = processor.tokenizer.pad_token_id
            tokens = model.model.vqmodel.encode(to_pixels(images[row : row + 1])).image_tokens.view(1, -1)
            inputs = torch.cat(
                [model.get_input_embeddings()(ids), model.prepare_embeddings_for_image_generation(tokens)],
                dim=1,
            )
            states = model.model.language_model(inputs_embeds=inputs).last_hidden_state
            logits = model.model.generation_head(states[0, ids.shape[1] - 1 : -1])
            losses.append(torch.nn.functional.cross_entropy(logits, tokens[0]))
        torch.testing.assert_close(examples.image_loss(rows, dropped), torch.stack(losses).mean())

    def test_caption_loss_is_that_of_transformers_forward(self, model, processor, world):
        images, table = load_training_set(world)
        examples = Examples(Janus(model, processor), images, table)
        losses, counts = [], []
        for row in range(3):
            inputs = processor(
                text=[caption_prompt(processor)], images=[Image.fromarray(images[row])], return_tensors="pt"
            )
            answer = processor.tokenizer(table["description"][row], add_special_tokens=False)["input_ids"]
            answer = torch.tensor([[*answer, processor.tokenizer.eos_token_id]])
            ids = torch.cat([inputs["input_ids"], answer], dim=1)
            labels = torch.cat([torch.full_like(inputs["input_ids"], -100), answer], dim=1)
            losses.append(model(input_ids=ids, pixel_values=inputs["pixel_values"], labels=labels).loss)
            counts.append(answer.shape[1])
        wanted = sum(loss * count for loss, count in zip(losses, counts, strict=True)) / sum(counts)
        torch.testing.assert_close(examples.caption_loss(np.arange(3)), wanted)

    def test_questions_are_answered_as_transformers_forward_answers_each_alone(self, model, processor, world):
        """The truth is read from the descriptions; to each question half of the weight is on either answer."""
        images, table = load_training_set(world)
        examples, rows = Examples(Janus(model, processor), images, table), np.arange(3)
        tokenizer = processor.tokenizer
        wanted, right = torch.zeros(()), np.zeros((len(rows), len(ASKED)), dtype=bool)
        for column, thing in enumerate(ASKED):
            shown = np.array([bool(re.search(rf"\b{thing}\b", text)) for text in table["description"]])
            for row in rows:
                text = caption_prompt(processor, question(thing))
                inputs = processor(text=[text], images=[Image.fromarray(images[row])], return_tensors="pt")
                answer = tokenizer("yes" if shown[row] else "no", add_special_tokens=False)["input_ids"]
                assert tokenizer.unk_token_id not in (*answer, *inputs["input_ids"][0])
                answer = torch.tensor([[*answer, tokenizer.eos_token_id]])
                ids = torch.cat([inputs["input_ids"], answer], dim=1)
                logits = model(input_ids=ids, pixel_values=inputs["pixel_values"]).logits[0, -3:-1]
                losses = torch.nn.functional.cross_entropy(logits, answer[0], reduction="none")
                weight = 0.5 / (shown.mean() if shown[row] else 1 - shown.mean())
                wanted = wanted + weight * losses[0] + losses[1]
                right[row, column] = logits[0].argmax() == answer[0, 0]
        torch.testing.assert_close(examples.question_loss(rows), wanted / right.size)
        np.testing.assert_array_equal(examples.rightly_answered(rows).numpy(), right)

    def test_everything_but_the_image_tokenizer_is_trained(self, model, vq_file):
        untrained = build_backbone(load_vq(vq_file), build_processor(64), **ARCHITECTURE, seed=0)
        after = dict(model.named_parameters())
        still = {name for name, before in untrained.named_parameters() if torch.equal(before, after[name])}
        assert still == {name for name in after if name.startswith("model.vqmodel.")}

    def test_same_seed_same_bytes(self, world, vq_file, folder, tmp_path):
        torch.manual_seed(99)
        settings = {"architecture": ARCHITECTURE, "training": TRAINING, "seed": 0}
        train_backbone(world, vq_file, tmp_path / "model", **settings)
        for file in sorted(path.name for path in folder.iterdir()):
            assert sha256_file(tmp_path / "model" / file) == sha256_file(folder / file), file


def test_learning_rate_rises_and_falls():
    rates = [rate_at(step, 100, 10, 2.0) for step in range(100)]
    assert rates.index(max(rates)) in (9, 10) and max(rates) == 2.0
    assert rates[:10] == sorted(rates[:10]) and rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[0] > 0 and 0 < rates[-1] < 0.01
