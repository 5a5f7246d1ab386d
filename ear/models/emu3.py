"""Emu3-Gen, as it stands in transformers: images are rows of codes, and a row's end is a word that is read.

The prompt closes with the image's size, so a picture has one before its first code is drawn. Sources: the
authors' ``image_generation.py`` (negative prompt with the size in it) and transformers' Emu3.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Emu3ForConditionalGeneration, Emu3Processor

from ear.errors import InputError
from ear.models.backbone import Layout, load_transformers
from ear.models.one_vocabulary import OneVocabulary

NEGATIVE = (
    "lowres, bad anatomy, bad hands, text, error, missing fingers, extra digit, fewer digits, cropped, "
    "worst quality, low quality, normal quality, jpeg artifacts, signature, watermark, username, blurry."
)
"""The authors' negative prompt."""
SIDE = 512
ROW_END = "<|extra_200|>"
SPECIAL = ("bos_token", "pad_token", "boi_token", "image_wrapper_token")


class Emu3(OneVocabulary):
    """An Emu3 model that draws images.

    Args:
        negative_prompt: what guidance pushes away from; "" is the prompt without words.
        image_size: pixels a side of a square image.
        grid: rows and columns of codes of another image than a square.
    """

    family = "emu3"
    wanted = "an Emu3 model in transformers' format, such as BAAI/Emu3-Gen-hf"
    sees = False
    drawing_keys = ("negative_prompt", "image_size")

    def __init__(
        self,
        model: Emu3ForConditionalGeneration,
        processor: Emu3Processor,
        reference: str = "",
        revision: str | None = None,
        rounded: bool = True,
        negative_prompt: str = NEGATIVE,
        image_size: int = SIDE,
        grid: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(model, processor, reference, revision, rounded)
        pixels = model.model.vqmodel.spatial_scale_factor  # a code's, a side
        if image_size <= 0 or image_size % pixels:
            raise InputError(
                f"{reference}: image_size: found {image_size}, wanted pixels a side, a multiple of {pixels}"
            )
        self.grid = height, width = grid or (image_size // pixels, image_size // pixels)
        self.num_image_tokens = height * width
        self.image_size = height * pixels, width * pixels
        self.codebook_size = model.config.vq_config.codebook_size
        words = model.vocabulary_mapping.img2bpe
        self.first_code = words.get(0, 0)
        rows = model.get_output_embeddings().out_features
        in_a_row = {code: self.first_code + code for code in range(self.codebook_size)}
        if words != in_a_row or self.first_code + self.codebook_size > rows:
            raise InputError(
                f"{reference}: config.json: vocabulary_map: found {len(words)} visual tokens up to id "
                f"{max(words.values(), default=None)}, wanted {self.codebook_size} of consecutive ids "
                f"below {rows}"
            )
        row_end = model.vocabulary_mapping.eol_token_id
        self.layout = Layout(
            self.num_image_tokens, {row * width: (row_end,) for row in range(1, height)}
        )  # the last row's end is never read
        self.negative_prompt = negative_prompt
        size = " × ".join(map(str, self.image_size))
        self.drawing = f"{size} pixels, negative prompt {negative_prompt!r}"

    @classmethod
    def load(
        cls, reference: str, settings: Mapping[str, Any], dtype: torch.dtype, revision: str | None, **own: Any
    ) -> "Emu3":
        classes = Emu3ForConditionalGeneration, Emu3Processor
        model, processor = load_transformers(*classes, reference, settings, dtype, revision, cls.wanted)
        made = cls(model, processor, reference, revision, **own)
        tokens, context = made.layout.columns[-2] + 1, model.config.text_config.max_position_embeddings
        if tokens >= context:
            raise InputError(
                f"{reference}: image_size: found {made.image_size[0]}, whose images have {tokens} tokens, "
                f"wanted fewer tokens than the model's context of {context}"
            )
        return made

    def check_tokenizer(self) -> None:
        known = self.model.config.vocabulary_map
        last = f"<|visual token {self.codebook_size - 1:06}|>"
        names = {name: getattr(self.tokenizer, name, None) for name in SPECIAL}
        for name, token in {**names, ROW_END: ROW_END, last: last}.items():
            found = token and self.tokenizer.convert_tokens_to_ids(token)
            if found is None or found != known.get(token):
                raise InputError(
                    f"{self.reference}: tokenizer: {name}: found {found}, wanted {known.get(token)} as in "
                    "config.json's vocabulary_map"
                )
        pixels = self.processor.image_processor
        if {*pixels.image_mean, *pixels.image_std} != {0.5}:
            raise InputError(
                f"{self.reference}: preprocessor_config.json: found image_mean {pixels.image_mean} and "
                f"image_std {pixels.image_std}, wanted 0.5: the model draws pixels from −1 to 1"
            )
        self.check_ends([("chat", "bos_token", 0), ("chat", "image_wrapper_token", -1)])

    def frame(self) -> tuple[str, str]:
        tokenizer, (height, width) = self.tokenizer, self.grid
        header = f"{tokenizer.boi_token}{height}*{width}{tokenizer.image_wrapper_token}"
        return tokenizer.bos_token, header

    @cached_property
    def _twin(self) -> list[int]:
        return self.encode([self.negative_prompt], "chat").ids[0].tolist()

    def unconditional(self, ids: Tensor) -> Tensor:
        """The negative prompt, with begin-of-sentence and size, whatever the prompt is."""
        return ids.new_tensor(self._twin)

    @property
    def language_model(self) -> nn.Module:
        return self.model.model.text_model

    def decoded(self, codes: Tensor) -> Tensor:
        return self.model.model.vqmodel.decode(codes.view(-1, *self.grid)).permute(0, 2, 3, 1)
