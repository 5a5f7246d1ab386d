"""A tiny random Llama as a source of answers: real transformers classes, a real chat template."""

import json
import shutil

import pytest
import torch
from jsonschema import validate
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from ear.errors import InputError
from ear.prompts.llm.asking import Budget, ModelSource
from ear.prompts.llm.checks import Rules
from ear.prompts.llm.local import LocalModel
from ear.prompts.llm.recordings import Recording
from ear.prompts.llm.templates.filling import bounded_schema, load_template

CHAT = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}assistant:"
ASK = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "a church"}]
SCHEMA = bounded_schema(Rules("church", "church", (), "object", max_words=1), 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    words = ["[UNK]", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]  # a token a byte
    tokenizer = Tokenizer(models.BPE({word: n for n, word in enumerate(words)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", eos_token="</s>", pad_token="</s>"
    )
    fast.chat_template = CHAT
    fast.save_pretrained(path)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        eos_token_id=1, pad_token_id=1, bos_token_id=None, max_position_embeddings=32768,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(path)
    return path


def model(folder, **changes):
    keys = {"revision": None, "dtype": "float32", "device": "cpu", "temperature": 1.0, "max_tokens": 40}
    return LocalModel("prompts.sources.local", str(folder), SCHEMA, **keys | changes)


def refused(load):
    with pytest.raises(InputError) as caught:
        load()
    assert "\n" not in str(caught.value) and "prompts.sources.local.model: " in str(caught.value)
    return str(caught.value)


def test_an_answer_depends_on_its_seed_alone(folder):
    local = model(folder)
    first = local.answer(ASK, 1)
    assert local.answer(ASK, 1) == first == model(folder).answer(ASK, 1)
    assert any(local.answer(ASK, seed).text != first.text for seed in range(2, 6))
    assert first.completion_tokens <= 40 and first.finish_reason in ("stop", "length")
    assert first.prompt_tokens == len("system: be brief\nuser: a church\nassistant:")
    likeliest = model(folder, temperature=0.0)
    assert len({likeliest.answer(ASK, seed).text for seed in range(4)}) == 1


@pytest.mark.parametrize("seed", range(3))
def test_a_model_that_has_learned_nothing_writes_whole_json(folder, seed):
    answer = model(folder, max_tokens=4000).answer(ASK, seed)
    assert answer.finish_reason == "stop" and answer.structured
    validate(json.loads(answer.text, strict=False), SCHEMA)


def test_it_is_a_source_like_any_other_and_replays_without_being_loaded(folder, tmp_path):
    keys = {"model": "m", "seed": 0, "per_request": 10, "per_round": 4, "max_tokens": 12}
    rules = Rules("church", "church", (), "object", 40)

    def loaded(name, schema, max_tokens):
        return model(folder, max_tokens=max_tokens)

    def nobody(*_, **__):
        raise AssertionError("loaded again")

    for connect in (loaded, nobody):
        recording = Recording(tmp_path / "local.jsonl", "local", "church")
        source = ModelSource("local", keys, load_template("object"), recording, Budget(), connect)
        with pytest.raises(InputError, match="in 12 answers: 0 new, 12 cut off at max_tokens;"):
            source.pairs(rules, 5)
    assert len((tmp_path / "local.jsonl").read_text().splitlines()) == 12


def test_what_is_no_chat_model_is_one_line(folder, tmp_path):
    assert "cannot be loaded" in refused(lambda: model(tmp_path))
    plain = shutil.copytree(folder, tmp_path / "plain")
    (plain / "chat_template.jinja").unlink(missing_ok=True)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    for template in (None, "{{ raise_exception('System role not supported') }}"):
        tokenizer.chat_template = template
        tokenizer.save_pretrained(plain)
        assert "found no usable chat template" in refused(lambda: model(plain).answer(ASK, 1))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda tensors, name: tensors.pop(name), "found no weights model.embed_tokens.weight"),
        (lambda tensors, name: tensors[name][0].fill_(torch.nan), "model.embed_tokens.weight: found"),
    ],
)
def test_weights_that_are_not_whole_are_one_line(folder, tmp_path, damage, said):
    shutil.copytree(folder, tmp_path / "broken")
    file = tmp_path / "broken/model.safetensors"
    tensors = load_file(file)
    damage(tensors, "model.embed_tokens.weight")
    file.unlink()
    save_file(tensors, file, metadata={"format": "pt"})
    assert said in refused(lambda: model(tmp_path / "broken"))
