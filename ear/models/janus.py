"""Janus and Janus-Pro, as they stand in transformers: the paper's family, and the mini backbone's."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from transformers import JanusForConditionalGeneration, JanusProcessor

from ear.errors import InputError
from ear.models.backbone import Backbone, Layout, load_transformers
from ear.models.chat_format import caption_prompt, prompt_frame

SPECIAL = ("bos_token", "eos_token", "pad_token", "boi_token", "eoi_token", "image_token")


class Janus(Backbone):
    """A Janus model: the codebook has an embedding and a head of its own, and a vision tower sees."""

    family = "janus"
    wanted = "a Janus model in transformers' format, such as deepseek-community/Janus-Pro-1B"
    sees = True

    def __init__(
        self,
        model: JanusForConditionalGeneration,
        processor: JanusProcessor,
        reference: str = "",
        revision: str | None = None,
        rounded: bool = True,
    ) -> None:
        super().__init__(model, processor, reference, revision, rounded)
        vision = model.config.vision_config
        self.num_image_tokens = vision.num_image_tokens
        self.codebook_size = model.config.vq_config.num_embeddings
        self.image_size = vision.image_size, vision.image_size
        self.layout = Layout(self.num_image_tokens)
        self.text_generation = {"generation_mode": "text"}

    @classmethod
    def load(
        cls, reference: str, settings: Mapping[str, Any], dtype: torch.dtype, revision: str | None, **own: Any
    ) -> "Janus":
        classes = JanusForConditionalGeneration, JanusProcessor
        model, processor = load_transformers(*classes, reference, settings, dtype, revision, cls.wanted)
        return cls(model, processor, reference, revision, **own)

    def check_tokenizer(self) -> None:
        tokenizer, source = self.tokenizer, f"{self.reference}: tokenizer"
        special = {name: getattr(tokenizer, name, None) for name in SPECIAL}
        ids = {name: token and tokenizer.convert_tokens_to_ids(token) for name, token in special.items()}
        rows = self.model.get_input_embeddings().num_embeddings
        for name, number in ids.items():
            if number is None or not 0 <= number < rows:
                raise InputError(f"{source}: {name}: found {number}, wanted an id from 0 to {rows - 1}")
        if ids["image_token"] != (wanted := self.model.config.image_token_id):
            raise InputError(
                f"{source}: image_token: found {ids['image_token']}, wanted {wanted} as in config.json"
            )
        self.check_ends([("raw", "bos_token", 0), ("chat", "bos_token", 0), ("chat", "boi_token", -1)])

    def frame(self) -> tuple[str, str]:
        return prompt_frame(self.processor)

    def unconditional(self, ids: Tensor) -> Tensor:
        """Pads (attended, as in transformers) for all but the first and last token; as long as the prompt."""
        twin = ids.clone()
        twin[1:-1] = self.pad_id
        return twin

    def embed_columns(self, ids: Tensor) -> Tensor:
        return self.model.prepare_embeddings_for_image_generation(ids)

    def image_logits(self, hidden: Tensor) -> Tensor:
        return self.model.model.generation_head(hidden)

    @property
    def language_model(self) -> nn.Module:
        return self.model.model.language_model

    def decoded(self, codes: Tensor) -> Tensor:
        return self.model.decode_image_tokens(codes)

    def question_inputs(self, question: str, images: Sequence[Image.Image]) -> Mapping[str, Tensor]:
        request = caption_prompt(self.processor, question)
        inputs = self.processor(text=[request] * len(images), images=list(images), return_tensors="pt")
        return inputs.to(self.device, dtype=self.model.dtype)
