"""Liquid: a plain language model whose vocabulary ends with the codes of an image tokenizer.

The published model is a Gemma with Chameleon's VQGAN, the mini world's a Llama with the mini VQ tokenizer.
The image tokenizer lies in a folder of the checkpoint (:mod:`ear.models.image_tokenizers`). Formats of
prompts are those of the authors' evaluation scripts (github.com/FoundationVision/Liquid).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from ear.errors import InputError
from ear.models.backbone import Layout, load_transformers
from ear.models.image_tokenizers import FOLDER, ImageTokenizer
from ear.models.one_vocabulary import OneVocabulary

BOI, EOI, UNCONDITIONAL = "<boi>", "<eoi>", "<unconditional>"
TURN, TURN_END = "<start_of_turn>", "<end_of_turn>"
REQUEST = "Generate an image based on this description."
BACKGROUND = (122, 116, 104)
"""Colour that makes pictures square before the model sees them."""


class Liquid(OneVocabulary):
    """A Liquid model; it reads pictures as the codes by which it draws them.

    Args:
        model: the language model; it gets the image tokenizer as a module of its own, ``image_tokenizer``.
        tokenizer: of text.
        image_tokenizer: its V codes are the last V words of the model's vocabulary.
        further: as of :class:`~ear.models.backbone.Backbone`.
    """

    family = "liquid"
    wanted = f"a Liquid model: a language model in transformers' format, its image tokenizer in {FOLDER}/"
    sees = True

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        image_tokenizer: ImageTokenizer,
        reference: str = "",
        revision: str | None = None,
        rounded: bool = True,
    ) -> None:
        model.add_module("image_tokenizer", image_tokenizer)
        super().__init__(model, tokenizer, reference, revision, rounded)
        self.image_tokenizer = image_tokenizer
        self.num_image_tokens = image_tokenizer.num_image_tokens
        self.codebook_size = image_tokenizer.codebook_size
        self.image_size = image_tokenizer.side, image_tokenizer.side
        self.first_code = model.config.vocab_size - self.codebook_size
        self.layout = Layout(self.num_image_tokens)
        # A code is no word: it would be decoded to nothing.
        self.text_generation = {"suppress_tokens": list(range(self.first_code, model.config.vocab_size))}

    @classmethod
    def load(
        cls, reference: str, settings: Mapping[str, Any], dtype: torch.dtype, revision: str | None, **own: Any
    ) -> "Liquid":
        image_tokenizer = ImageTokenizer.load(reference, dtype)
        # Gemma has one matrix for both ends, which its config need not say.
        settings = {"tie_word_embeddings": settings["model_type"] == "gemma"} | dict(settings)
        classes = AutoModelForCausalLM, AutoTokenizer
        model, tokenizer = load_transformers(*classes, reference, settings, dtype, revision, cls.wanted)
        tokenizer.padding_side = "left"
        return cls(model, tokenizer, image_tokenizer, reference, revision, **own)

    def save(self, folder: str | Path) -> None:
        own = self.model.state_dict()
        words = {name: own[name] for name in own if not name.startswith("image_tokenizer.")}
        self.model.save_pretrained(folder, state_dict=words)
        self.tokenizer.save_pretrained(folder)
        self.image_tokenizer.save(Path(folder) / FOLDER)

    def check_tokenizer(self) -> None:
        source = f"{self.reference}: tokenizer"
        for token in (BOI, EOI):
            number = self.tokenizer.convert_tokens_to_ids(token)
            if number in (None, self.tokenizer.unk_token_id) or not 0 <= number < self.first_code:
                raise InputError(
                    f"{source}: {token}: found {number}, wanted an id from 0 to {self.first_code - 1}"
                )
        if len(self.tokenizer) != self.first_code:
            raise InputError(
                f"{source}: found {len(self.tokenizer)} words, wanted {self.first_code}: the "
                f"{self.model.config.vocab_size} of config.json less the {self.codebook_size} of {FOLDER}/"
            )
        self.tokenizer.boi_token = BOI
        self.check_ends([("raw", "bos_token", 0), ("chat", "bos_token", 0), ("chat", "boi_token", -1)])

    def frame(self) -> tuple[str, str]:
        return "", f" {REQUEST}{BOI}"

    def unconditional(self, ids: Tensor) -> Tensor:
        """The same for all prompts: a token for no prompt at all, then begin-of-image."""
        return ids.new_tensor(self.text_ids(UNCONDITIONAL, "", BOI))

    @property
    def language_model(self) -> nn.Module:
        return self.model.model

    def decoded(self, codes: Tensor) -> Tensor:
        return self.image_tokenizer.decoded(codes)

    def question_inputs(self, question: str, images: Sequence[Image.Image]) -> Mapping[str, Tensor]:
        side = self.image_tokenizer.side
        codes = self.image_tokenizer.codes([squared(image, side) for image in images])
        before, after = f"{TURN}user\n{BOI}", f"{EOI}\n{question}{TURN_END}\n{TURN}model\n"
        start = codes.new_tensor(self.tokenizer(before).input_ids)
        end = codes.new_tensor(self.tokenizer(after, add_special_tokens=False).input_ids)
        rows = len(images), -1
        ids = torch.cat([start.expand(rows), self.image_ids(codes), end.expand(rows)], dim=1)
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def squared(image: Image.Image, side: int) -> Image.Image:
    """A picture in the middle of a square of BACKGROUND, resized to a side, as the authors do it."""
    longest = max(image.size)
    square = Image.new("RGB", (longest, longest), BACKGROUND)
    square.paste(image, ((longest - image.width) // 2, (longest - image.height) // 2))
    return square if longest == side else square.resize((side, side), Image.Resampling.LANCZOS)
