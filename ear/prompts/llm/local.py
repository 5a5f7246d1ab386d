"""Language models that transformers runs in this process."""

from collections.abc import Mapping
from typing import Any

import torch
import xgrammar
from jinja2 import TemplateError
from transformers import AutoModelForCausalLM, AutoTokenizer, LogitsProcessor

from ear.errors import InputError, one_line
from ear.models.weights import check_finite, check_report, loading
from ear.prompts.llm.recordings import LENGTH, Answer, Messages


class ByGrammar(LogitsProcessor):
    """Forbids every token with which an answer would leave a grammar.

    xgrammar's own processor needs a C compiler on GPUs.

    Args:
        grammar: of one answer.
    """

    def __init__(self, grammar: xgrammar.CompiledGrammar) -> None:
        self._matcher = xgrammar.GrammarMatcher(grammar)
        self._allowed = xgrammar.allocate_token_bitmask(1, grammar.tokenizer_info.vocab_size)
        self._begun = False

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores ``(1, vocabulary)`` of the next token, those of forbidden ones minus infinity."""
        if self._begun:
            self._matcher.accept_token(int(input_ids[0, -1]))
        self._begun = True
        self._matcher.fill_next_token_bitmask(self._allowed)
        xgrammar.apply_token_bitmask_inplace(scores, self._allowed.to(scores.device), backend="torch_native")
        return scores


class LocalModel:
    """A chat model of the hub, or of a folder. It answers one chat at a time, by a schema.

    Args:
        where: key of the config, for messages.
        model: its name on the hub, or a folder.
        schema: JSON schema of an answer.
        revision: commit on the hub; None for a folder.
        dtype: of weights and activations.
        device: cpu or cuda.
        temperature: of its sampling; 0 takes the likeliest token, None leaves its own settings.
        max_tokens: of an answer.

    Raises:
        InputError: the model cannot be loaded or is not whole.
    """

    concurrency = 1

    def __init__(
        self,
        where: str,
        model: str,
        schema: Mapping[str, Any],
        revision: str | None,
        dtype: str,
        device: str,
        temperature: float | None,
        max_tokens: int,
    ) -> None:
        source, wanted = f"{where}.model: {model}", "a language model"
        with loading(source, wanted):
            self._tokenizer = AutoTokenizer.from_pretrained(model, revision=revision)
            self._model, report = AutoModelForCausalLM.from_pretrained(
                model,
                revision=revision,
                dtype=getattr(torch, dtype),
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # the report names them
            )
        # Files of larger models may hold more than the language model.
        check_report(source, report | {"unexpected_keys": []}, wanted)
        check_finite(source, self._model.state_dict())
        self._model.to(device).eval()
        with loading(source, "a model with a tokenizer that xgrammar knows"):
            tokens = xgrammar.TokenizerInfo.from_huggingface(
                self._tokenizer,
                vocab_size=self._model.config.get_text_config().vocab_size,
                stop_token_ids=self._model.generation_config.eos_token_id,
            )
            # JSON may have any number of blanks between its parts: a model might never stop writing them.
            compiler = xgrammar.GrammarCompiler(tokens)
            self._grammar = compiler.compile_json_schema(dict(schema), any_whitespace=False)
        self._where, self._device, self._max_tokens = where, device, max_tokens
        self._sampling: dict[str, float] = {} if temperature is None else {"do_sample": temperature > 0}
        if temperature:
            self._sampling["temperature"] = temperature

    def answer(self, messages: Messages, seed: int | None) -> Answer:
        try:
            prompt = self._tokenizer.apply_chat_template(
                list(messages), add_generation_prompt=True, return_tensors="pt", return_dict=True
            ).to(self._device)
        except (TemplateError, ValueError) as error:  # the latter: the tokenizer has no template
            raise InputError(
                f"{self._where}.model: found no usable chat template ({one_line(error)}), wanted a chat model"
            ) from None
        if seed is not None:
            torch.manual_seed(seed)
        with torch.inference_mode():
            tokens = self._model.generate(
                **prompt,
                max_new_tokens=self._max_tokens,
                logits_processor=[ByGrammar(self._grammar)],
                **self._sampling,
            )
        length = prompt["input_ids"].shape[1]
        answered = tokens[0, length:]
        return Answer(
            text=self._tokenizer.decode(answered, skip_special_tokens=True),
            finish_reason=LENGTH if len(answered) >= self._max_tokens else "stop",
            prompt_tokens=length,
            completion_tokens=len(answered),
            structured=True,
        )
