"""An exported model: transformers alone draws with it, and its card says what was measured."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from PIL import Image
from transformers import GenerationConfig, JanusForConditionalGeneration

from ear.commands.export import export_model
from ear.commands.model_card import AUTHORS_FILE, CARD, model_card
from ear.erasure.edited_weights import FORMAT, EditedFacts, load_edited, put_weights, trained_modules
from ear.erasure.lora import initial_factors
from ear.erasure.release import read_authors_weights
from ear.evaluation.columns import METRICS_CSV
from ear.evaluation.protocols import AXES
from ear.models.chat_format import image_prompt
from ear.workflow.files import sha256_file, write_csv
from ear.world.backbone import build_processor
from tests.tiny import tiny_backbone
from tests.unit.erasure.test_edited_weights import JOB, TRAINING, refused, same, save, weights_of

PROMPT = "a photo of a church on a hill at night"
SUBJECT = {"experiment": "tiny", "concept": "church", "kind": "object", "words": "church", "prompt": PROMPT}
SUBJECT |= {"guidance": 2.0, "temperature": 0.5, "family": "janus"}
ROWS = [
    ("church", "original", "0", "target", "concept_rate", 0.9, 0.8, 0.95, 100),
    ("church", "original", "all", "target", "concept_rate", 0.9, 0.8, 0.95, 100),
    ("church", "ear", "0", "target", "concept_rate", 0.1234, 0.0561, 0.2345, 100),
    ("church", "ear", "all", "target", "concept_rate", 0.2222, 0.2, 0.3, 100),
    ("church", "ear", "0", "prefix-4", "concept_rate", 0.5, None, None, 60),
    ("church", "ear", "0", "retention", "accuracy", 0.8761, 0.8, 0.9, 80),
    ("church", "ear", "0", "general", "fid", 43.21, None, None, 300),
    ("church", "wga", "0", "target", "concept_rate", 0.7777, 0.7, 0.8, 100),
    ("fire", "ear", "0", "target", "concept_rate", 0.6666, 0.6, 0.7, 100),
]
# `ear` stands in for all of this project: with it gone, transformers has to do alone.
WITHOUT_EAR = """
import runpy, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "ear":
            raise ImportError("blocked")

sys.meta_path.insert(0, Blocker())
try:
    import ear
except ImportError:
    pass
else:
    sys.exit("ear can be imported")
import torch
torch.set_num_threads(1)
print(runpy.run_path(sys.argv[1])["tokens"].tolist())
"""


def exported(folder, backbone, **facts):
    """Export of a set of edited weights that was not trained: attention changed by noise."""
    generator = torch.Generator().manual_seed(3)
    weights = {
        name: weight + torch.randn(weight.shape, generator=generator).to(weight.dtype) * 0.1
        for name, weight in weights_of(backbone).items()
    }
    edited = save(folder / "weights.safetensors", weights, backbone, **facts)
    write_csv(folder / "metrics.csv", METRICS_CSV.frame(ROWS))
    export_model(folder / "export", backbone, edited, folder / "metrics.csv", SUBJECT)
    return folder / "export", edited


def low_rank(folder, backbone):
    """Edited weights of a method with LoRA that was not trained: factors of noise."""
    modules = trained_modules(backbone, 2, linears=True)
    factors = initial_factors(modules, 3, seed=0)
    generator = torch.Generator().manual_seed(3)
    for factor in factors.values():
        factor.copy_(torch.randn(factor.shape, generator=generator) * 0.1)
    settings = {"layers": 2, "lora": {"rank": 3, "alpha": 6.0}}
    return save(folder / "weights.safetensors", factors, backbone, settings=settings)


def card_of(folder, table, prompt=PROMPT, reference="tiny", revision=None, **facts):
    """The card alone, of a table of metrics."""
    write_csv(folder / "metrics.csv", table)
    job = JOB | TRAINING | {"concept": "church"} | facts
    backbone = {"reference": reference, "revision": revision, "sha256": "0" * 64}
    made_from = EditedFacts.model_validate({"format": FORMAT, "backbone": backbone} | job)
    names = ["layers.0.self_attn.q_proj"]
    return model_card(made_from, names, "0" * 64, folder / "metrics.csv", SUBJECT | {"prompt": prompt})


def lines_of(text):
    """Lines of the card's table of measurements."""
    measured = text.split("## Measurements")[1].split("## Limits")[0]
    return [line for line in measured.splitlines() if line.startswith("| `")]


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def code_of(card):
    (block,) = re.findall(r"```python\n(.*?)```", card.read_text(), re.DOTALL)
    return block


@torch.no_grad()
def drawn_here(backbone):
    """Tokens of the same request, from the model in this process."""
    inputs = backbone.processor(
        text=[image_prompt(backbone.processor, PROMPT)], generation_mode="image", return_tensors="pt"
    )
    torch.manual_seed(0)
    return backbone.model.generate(
        **inputs,
        generation_mode="image",
        do_sample=True,
        temperature=SUBJECT["temperature"],
        top_k=0,
        guidance_scale=SUBJECT["guidance"],
    )


def test_the_cards_code_draws_the_adapted_backbones_image_without_this_project(tmp_path):
    backbone = tiny_backbone(dtype="bfloat16")
    frozen = drawn_here(backbone)
    folder, edited = exported(tmp_path, backbone)
    code = code_of(folder / CARD)
    (tmp_path / "sample.py").write_text(code)
    run = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", WITHOUT_EAR, tmp_path / "sample.py"],
        cwd=folder,  # the card's code loads "."
        env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TRANSFORMERS_VERBOSITY": "warning"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert not re.search("warn|missing|unexpected|newly initialized", run.stderr, re.IGNORECASE), run.stderr

    put_weights(backbone, load_edited(edited)[0])
    tokens = drawn_here(backbone)
    assert run.stdout.strip() == str(tokens.tolist())
    assert not torch.equal(tokens, frozen)
    with Image.open(folder / "image.png") as image:
        assert image.size == (24, 24)  # grid 3, 8 pixels a token
        found = np.asarray(image).astype(int)
    assert abs(found - next(backbone.pixels(tokens)).astype(int)).max() <= 1


def test_the_folder_holds_the_adapted_weights_in_the_backbones_dtype(tmp_path):
    backbone = tiny_backbone()
    before = weights_of(backbone)
    folder, edited = exported(tmp_path, backbone)
    assert same(weights_of(backbone), before)
    model, loading = JanusForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    assert all(not found for found in loading.values()), loading
    assert model.dtype == torch.float32
    put_weights(backbone, load_edited(edited)[0])
    assert same(model.state_dict(), backbone.model.state_dict())
    assert same(read_authors_weights(folder / AUTHORS_FILE), load_edited(edited)[0])
    assert (folder / "model.safetensors").exists()


@pytest.mark.parametrize(("lora", "dtype", "most"), [(False, "bfloat16", 0), (True, "float32", 1e-4)])
def test_peft_puts_the_adapter_on_the_frozen_model(tmp_path, lora, dtype, most):
    """And the model is then the exported one: exactly with whole weights, up to rounding with factors."""
    from peft import PeftModel  # takes seconds

    backbone, tokens = tiny_backbone(dtype=dtype), torch.arange(20)[None]
    backbone.save(tmp_path / "frozen")
    write_csv(tmp_path / "metrics.csv", METRICS_CSV.frame(ROWS))
    if lora:
        edited, folder = low_rank(tmp_path, backbone), tmp_path / "export"
        export_model(folder, backbone, edited, tmp_path / "metrics.csv", SUBJECT)
    else:
        folder, _ = exported(tmp_path, backbone)
    whole, base = (
        JanusForConditionalGeneration.from_pretrained(path) for path in (folder, tmp_path / "frozen")
    )
    with torch.no_grad():
        frozen, wanted = base(tokens).logits, whole(tokens).logits
        found = PeftModel.from_pretrained(base, folder / "adapter")(tokens).logits
    assert found.dtype == wanted.dtype and (found - wanted).abs().max() <= most
    assert (found - frozen).abs().max() > 0.1
    assert (folder / AUTHORS_FILE).exists() != lora
    card = (folder / CARD).read_text()
    assert ("14 linear layers, each by a product of low-rank factors" in card) == lora
    assert (AUTHORS_FILE in card) != lora


def test_generation_config_has_what_drawing_needs_even_where_the_backbone_had_it_not(tmp_path):
    backbone = tiny_backbone()
    backbone.model.generation_config = GenerationConfig()
    folder, _ = exported(tmp_path, backbone)
    config = GenerationConfig.from_pretrained(folder)
    tokenizer = build_processor(num_image_tokens=9).tokenizer
    assert config.generation_kwargs == {"boi_token_id": tokenizer.convert_tokens_to_ids(tokenizer.boi_token)}
    assert (config.guidance_scale, config.pad_token_id) == (2.0, tokenizer.pad_token_id)
    assert backbone.model.generation_config.guidance_scale is None


def test_the_cards_numbers_are_the_tables(tmp_path):
    folder, edited = exported(tmp_path, tiny_backbone())
    text = (folder / CARD).read_text()
    assert lines_of(text) == [
        "| `concept_rate` of `prefix-4` ↓ | – | 0.5 | – | 60 |",
        "| `concept_rate` of `target` ↓ | 0.9 [0.8, 0.95] | 0.123 [0.0561, 0.234] | 0.222 [0.2, 0.3] | 100 |",
        "| `accuracy` of `retention` ↑ | – | 0.876 [0.8, 0.9] | – | 80 |",
        "| `fid` of `general` ↓ | – | 43.2 | – | 300 |",
    ]
    measured = ("erasure", "prefix", "retention", "fidelity")
    (unmeasured,) = re.findall(r"Not measured for this model: (.*)\.\n", text)
    assert set(unmeasured.split("; ")) == {
        axis.measures for axis in AXES if axis.score and axis.name not in measured
    }
    for told in (load_edited(edited)[1].backbone.sha256[:12], sha256_file(edited), "torch 2", "arXiv"):
        assert told in text
    assert "| layers | 2 |" in text


def test_a_model_that_lacks_two_concepts_says_so_and_counts_the_one_it_is_asked_for(tmp_path):
    text = card_of(tmp_path, METRICS_CSV.frame(ROWS), concept="van-gogh+church", fine_tuning_seed=None)
    assert "# van-gogh and church erased with ear" in text
    assert "The same weights erase van-gogh too; the numbers below are of church." in text
    assert len(lines_of(text)) == 4


def test_the_card_is_the_hubs_and_names_a_base_model_of_the_hub_alone(tmp_path):
    backbone = {"reference": "deepseek-community/Janus-Pro-1B", "revision": "0123abc"}
    card = ModelCard(card_of(tmp_path, METRICS_CSV.frame(), **backbone))
    assert (card.data.library_name, card.data.pipeline_tag) == ("transformers", "any-to-any")
    assert card.data.base_model == "deepseek-community/Janus-Pro-1B"
    assert "license" not in yaml.safe_load(card.content.split("---")[1])
    assert "# church erased with ear" in card.text
    assert "revision 0123abc" in card.text
    for reference in ("results/mini/models/mini-backbone", "", str(tmp_path)):
        card = ModelCard(card_of(tmp_path, METRICS_CSV.frame(), reference=reference))
        assert card.data.base_model is None


def test_prompts_with_quotes_are_code_all_the_same(tmp_path):
    prompt = 'a "church" of\nSt. Émile\\'
    (tmp_path / CARD).write_text(card_of(tmp_path, METRICS_CSV.frame(), prompt=prompt))
    (line,) = [line for line in code_of(tmp_path / CARD).splitlines() if line.startswith("folder, prompt")]
    names = {}
    exec(line, names)
    assert names["prompt"] == prompt


def test_an_export_that_fails_leaves_what_was_there(tmp_path):
    backbone = tiny_backbone()
    folder, _ = exported(tmp_path, backbone)
    before = contents(folder)
    other = tiny_backbone(seed=1)
    frozen = weights_of(other)
    arguments = (tmp_path / "weights.safetensors", tmp_path / "metrics.csv")
    refused(lambda: export_model(folder, other, *arguments, SUBJECT), "edited from backbone")
    no_guidance = SUBJECT | {"guidance": 1.0}
    refused(lambda: export_model(folder, backbone, *arguments, no_guidance), "found 1.0, wanted more than 1")
    assert contents(folder) == before
    assert same(weights_of(other), frozen)
    assert len(list(tmp_path.iterdir())) == 3
    exported(tmp_path, backbone)
    assert contents(folder) == before  # the same export again
