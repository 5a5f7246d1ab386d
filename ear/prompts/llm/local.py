"""Language models that transformers runs in this process."""

import torch
from jinja2 import TemplateError
from transformers import AutoModelForCausalLM, AutoTokenizer

from ear.errors import InputError, one_line
from ear.models.weights import check_finite, check_report, loading
from ear.prompts.llm.recordings import Answer, Messages


class LocalModel:
    """A chat model of the hub, or of a folder. It answers one chat at a time.

    Args:
        where: key of the config, for messages.
        model: its name on the hub, or a folder.
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
            tokens = self._model.generate(**prompt, max_new_tokens=self._max_tokens, **self._sampling)
        length = prompt["input_ids"].shape[1]
        answered = tokens[0, length:]
        return Answer(
            text=self._tokenizer.decode(answered, skip_special_tokens=True),
            finish_reason="length" if len(answered) >= self._max_tokens else "stop",
            prompt_tokens=length,
            completion_tokens=len(answered),
        )
