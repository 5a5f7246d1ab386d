"""A tiny random Llama as a source of answers: real transformers classes, a real chat template."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from ear.errors import InputError
from ear.prompts.llm.asking import Asking, ModelSource
from ear.prompts.llm.checks import Rules
from ear.prompts.llm.local import LocalModel
from ear.prompts.llm.recordings import Recording
from ear.prompts.llm.source import Budget
from ear.prompts.llm.templates.filling import load_template

CHAT = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}assistant:"
ASK = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "a church"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    words = [
        "[UNK]",
        "</s>",
        *["a", "church", "barn", "by", "the", "road", "be", "brief", "user", "system", "assistant", ":"],
    ]
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", eos_token="</s>", pad_token="</s>"
    )
    fast.chat_template = CHAT
    fast.save_pretrained(path)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        eos_token_id=1, pad_token_id=1, bos_token_id=None, max_position_embeddings=4096,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(path)
    return path


def model(folder, **changes):
    keys = {"revision": None, "dtype": "float32", "device": "cpu", "temperature": 1.0, "max_tokens": 12}
    return LocalModel("prompts.sources.local", str(folder), **keys | changes)


def test_an_answer_depends_on_its_seed_alone(folder):
    local = model(folder)
    first = local.answer(ASK, 1)
    others = [local.answer(ASK, seed).text for seed in range(2, 6)]
    assert local.answer(ASK, 1) == first == model(folder).answer(ASK, 1)
    assert any(text != first.text for text in others)
    assert first.completion_tokens <= 12 and first.finish_reason in ("stop", "length")
    assert first.prompt_tokens == len(
        local._tokenizer.apply_chat_template(ASK, return_dict=True)["input_ids"]
    )


def test_at_temperature_0_the_likeliest_token_is_taken(folder):
    local = model(folder, temperature=0.0)
    assert len({local.answer(ASK, seed).text for seed in range(4)}) == 1


def test_it_is_a_source_like_any_other_and_replays_without_being_loaded(folder, tmp_path):
    def source(connect):
        asking = Asking("m", {"temperature": 1.0, "max_tokens": 12}, 0, 10, 4)
        recording = Recording(tmp_path / "local.jsonl", "local", "church")
        return ModelSource("local", asking, load_template("object"), recording, Budget(), connect)

    rules = Rules("church", "church", (), "object", 40)
    with pytest.raises(InputError, match="found no pair of church in 12 answers"):
        source(lambda: model(folder)).pairs(rules, 5)  # what it says is no JSON
    assert len((tmp_path / "local.jsonl").read_text().splitlines()) == 12

    def nobody():
        raise AssertionError("loaded again")

    with pytest.raises(InputError, match="found no pair of church in 12 answers"):
        source(nobody).pairs(rules, 5)


def test_what_is_no_chat_model_is_one_line(folder, tmp_path):
    with pytest.raises(
        InputError, match=r"prompts\.sources\.local\.model: .* cannot be loaded .*, wanted a language model"
    ) as caught:
        model(tmp_path)
    assert "\n" not in str(caught.value)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path / "plain")
    (tmp_path / "plain/chat_template.jinja").unlink(missing_ok=True)
    LlamaForCausalLM.from_pretrained(folder).save_pretrained(tmp_path / "plain")
    with pytest.raises(InputError, match="whose tokenizer has no chat template"):
        model(tmp_path / "plain")
    picky = PreTrainedTokenizerFast.from_pretrained(folder)
    picky.chat_template = "{{ raise_exception('System role not supported') }}"
    picky.save_pretrained(tmp_path / "plain")
    with pytest.raises(InputError, match="chat template refuses the request"):
        model(tmp_path / "plain").answer(ASK, 1)


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
    with pytest.raises(InputError) as refused:
        model(tmp_path / "broken")
    assert said in str(refused.value) and "\n" not in str(refused.value)
