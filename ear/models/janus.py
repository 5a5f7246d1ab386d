"""The backbone: Janus-Pro as it stands in transformers, from a folder or from the hub.

Everything that the workflow does with a unified autoregressive model goes through :class:`Backbone`; the mini
model of the default experiment and Janus-Pro-7B are the same class here.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import JanusForConditionalGeneration, JanusProcessor, PreTrainedConfig

from ear.errors import InputError
from ear.models.chat_format import control_tokens, prompt_frame, text_pieces
from ear.models.finite import WANTED as FINITE_WANTED
from ear.models.memory import GPU_PICTURES
from ear.models.weights import (
    check_file,
    check_finite,
    check_folder,
    check_names,
    check_report,
    dtypes,
    loading,
)

Encoding = Literal["raw", "chat"]
JANUS, DEEPSEEK = "janus", "multi_modality"  # model types of transformers' format and of DeepSeek's own
WANTED = "a Janus model in transformers' format, such as deepseek-community/Janus-Pro-1B"
HEAD = "lm_head.weight"
DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Tokens:
    """Left-padded prompts.

    Attributes:
        ids: (B, L) int64 token ids.
        mask: (B, L) int64, 0 on the left padding and 1 elsewhere.
    """

    ids: Tensor
    mask: Tensor

    def __len__(self) -> int:
        return self.ids.shape[0]

    @property
    def length(self) -> int:
        """L, the length of the longest prompt."""
        return self.ids.shape[1]


def unpadded(tokens: Tokens) -> list[Tensor]:
    """The ids of each prompt, without its padding."""
    return [ids[mask.bool()] for ids, mask in zip(tokens.ids, tokens.mask, strict=True)]


def left_padded(prompts: Sequence[Tensor], pad_id: int) -> Tokens:
    """Prompts of any length, (L_i,) ids each, as one batch."""
    padded = partial(pad_sequence, batch_first=True, padding_side="left")
    masks = [torch.ones_like(ids) for ids in prompts]
    return Tokens(padded(list(prompts), padding_value=pad_id), padded(masks))


def tensor_digest(tensor: Tensor) -> bytes:
    """SHA-256 of a tensor's dtype, shape and bytes."""
    digest = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}\n".encode())
    digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.digest()


class Backbone:
    """A Janus model with its processor, ready to encode prompts, read hidden states and decode image tokens.

    Args:
        model: transformers' model, already on its device.
        processor: its processor.
        reference: the folder or hub id it came from, for metadata.
        revision: commit of the hub repository, none for a folder.
        rounded: whether ``pixels`` rounds to the nearest byte; else the fraction is cut off, as transformers
            and the authors do.
    """

    def __init__(
        self,
        model: JanusForConditionalGeneration,
        processor: JanusProcessor,
        reference: str = "",
        revision: str | None = None,
        rounded: bool = True,
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.processor = processor
        self.reference = reference
        self.revision = revision
        self.rounded = rounded
        self._digests: dict[str, tuple[int, bytes]] = {}
        self.num_image_tokens: int = model.model.vision_model.config.num_image_tokens
        self.codebook_size: int = model.config.vq_config.num_embeddings
        self.pad_id: int = processor.tokenizer.pad_token_id

    @classmethod
    def load(
        cls, reference: str, dtype: str, device: str, revision: str | None = None, rounded: bool = True
    ) -> "Backbone":
        """Load a Janus checkpoint of transformers' format; its type is checked before weights are allocated.

        Args:
            reference: a folder made by ``save_pretrained``, or a hub id ("deepseek-community/Janus-Pro-7B").
            dtype: "float32", "float64" or "bfloat16".
            device: "cpu" or "cuda".
            revision: commit of the hub repository; none for a folder.
            rounded: see the class.

        Raises:
            InputError: there is no whole Janus model at ``reference``, or its tokenizer is not one of Janus.
        """
        if Path(reference).is_dir():
            check_file(Path(reference) / "config.json", f"that of {WANTED}")
        try:
            settings, _ = PreTrainedConfig.get_config_dict(reference, revision=revision)
        except OSError as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{reference}: found no config.json ({reason}), wanted a folder or hub id of {WANTED}"
            ) from error
        if (kind := settings.get("model_type")) != JANUS or "quantization_config" in settings:
            found = f"quantised {kind!r}" if kind == JANUS else repr(kind)
            whose = ", DeepSeek's own format" if kind == DEEPSEEK else ""
            raise InputError(
                f"{reference}: config.json: model_type: found {found}{whose}, wanted {JANUS!r}: {WANTED}"
            )
        model, processor = _load_transformers(reference, settings, DTYPES[dtype], revision)
        model = cast(JanusForConditionalGeneration, model.to(device))
        backbone = cls(model, processor, reference, revision, rounded)
        check_finite(reference, backbone.model.state_dict())
        backbone.check_tokenizer()
        return backbone

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.model.device

    def fingerprint(self) -> str:
        """SHA-256 of all weights as they stand, with their names, dtypes and shapes.

        A tensor is read again only if it was written to since the last call.
        """
        whole = hashlib.sha256()
        for name, tensor in sorted(self.model.state_dict().items()):
            version, digest = self._digests.get(name, (-1, b""))
            if version != tensor._version:
                digest = tensor_digest(tensor)
                self._digests[name] = (tensor._version, digest)
            whole.update(name.encode() + b"\n" + digest)
        return whole.hexdigest()

    def encode(self, prompts: Sequence[str], encoding: Encoding) -> Tokens:
        """Token ids of prompts, left-padded to the longest.

        Args:
            prompts: B texts.
            encoding: "chat" wraps each in the chat template and ends with begin_of_image, as transformers
                generates images; "raw" takes the prompt's tokens alone, as the authors' training scripts do.

        Raises:
            InputError: a prompt with its image is longer than the model's context.
        """
        chat = encoding == "chat"
        before, after = prompt_frame(self.processor) if chat else ("", "")
        room = self.model.config.text_config.max_position_embeddings - self.num_image_tokens
        ids = []
        for prompt in prompts:  # the chat template strips it
            ids.append(torch.tensor(self.text_ids(before, prompt.strip() if chat else prompt, after)))
            if len(ids[-1]) > room:
                raise InputError(
                    f"prompt {prompt[:60]!r}: found {len(ids[-1])} tokens, wanted at most {room}: "
                    f"the model's context less the {self.num_image_tokens} tokens of an image"
                )
        tokens = left_padded(ids, self.pad_id)
        return Tokens(tokens.ids.to(self.device), tokens.mask.to(self.device))

    @cached_property
    def controls(self) -> list[str]:
        """Tokens of the tokenizer that are no text."""
        return control_tokens(self.processor.tokenizer)

    def text_ids(self, before: str, text: str, after: str) -> list[int]:
        """Ids of a text that is text throughout, whatever it spells, between two parts of a template."""
        first, *others = text_pieces(text, self.controls)
        *pieces, last = [before + first, *others]
        ids: list[int] = []
        for piece in [*pieces, last + after]:
            ids += self.processor.tokenizer(piece, add_special_tokens=not ids).input_ids
        return ids

    def check_tokenizer(self) -> None:
        """Check that prompts are encoded as the model knows them.

        A tokenizer without begin-of-sentence, or one that loses blanks, draws other images without a word.

        Raises:
            InputError: a special token is missing or unknown to the model, begin-of-sentence is not first,
                begin-of-image is not last in a chat, or blanks are lost.
        """
        tokenizer, source = self.processor.tokenizer, f"{self.reference}: tokenizer"
        names = ("bos_token", "eos_token", "pad_token", "boi_token", "eoi_token", "image_token")
        special = {name: getattr(tokenizer, name, None) for name in names}
        ids = {name: token and tokenizer.convert_tokens_to_ids(token) for name, token in special.items()}
        rows = self.model.get_input_embeddings().num_embeddings
        for name, number in ids.items():
            if number is None or not 0 <= number < rows:
                raise InputError(f"{source}: {name}: found {number}, wanted an id from 0 to {rows - 1}")
        if ids["image_token"] != (wanted := self.model.config.image_token_id):
            raise InputError(
                f"{source}: image_token: found {ids['image_token']}, wanted {wanted} as in config.json"
            )
        words = "a photo of a church"
        (raw,), (chat,) = self.encode([words], "raw").ids, self.encode([words], "chat").ids
        ends = (
            ("bos_token", "first", raw, 0),
            ("bos_token", "first", chat, 0),
            ("boi_token", "last", chat, -1),
        )
        for name, place, held, end in ends:
            if held.tolist().count(ids[name]) != 1 or held[end] != ids[name]:
                found = " ".join(tokenizer.convert_ids_to_tokens(held))
                raise InputError(f"{source}: found {found}, wanted {special[name]} {place}, and only once")
        decoded = tokenizer.decode(raw[1:])
        if len(decoded.split()) != len(words.split()):
            raise InputError(f"{source}: found {decoded!r} after encoding {words!r}, wanted its blanks kept")

    def unconditional(self, tokens: Tokens) -> Tokens:
        """Unconditional twins: pads (attended, as in transformers) for all but the first and last token."""
        first = tokens.mask.argmax(dim=1, keepdim=True)  # (B, 1) column of the first unpadded token
        columns = torch.arange(tokens.length, device=self.device)
        keep = (columns == first) | (columns == tokens.length - 1)
        return Tokens(torch.where(keep, tokens.ids, self.pad_id), tokens.mask)

    def with_unconditional(self, tokens: Tokens) -> Tokens:
        """Rows [conditional; unconditional] along the batch: (B, L) becomes (2B, L)."""
        twins = self.unconditional(tokens)
        return Tokens(torch.cat([tokens.ids, twins.ids]), torch.cat([tokens.mask, twins.mask]))

    def embed_text(self, ids: Tensor) -> Tensor:
        """Embeddings of text tokens: (B, L) → (B, L, D)."""
        return self.model.get_input_embeddings()(ids)

    def embed_image(self, tokens: Tensor) -> Tensor:
        """Embeddings of image tokens: (B, T) → (B, T, D)."""
        return self.model.prepare_embeddings_for_image_generation(tokens)

    def image_logits(self, hidden: Tensor) -> Tensor:
        """Logits over the codebook: (…, D) → (…, V)."""
        return self.model.model.generation_head(hidden)

    @property
    def language_model(self) -> nn.Module:
        """The Llama decoder; its ``last_hidden_state`` is taken after the final norm."""
        return self.model.model.language_model

    @cached_property
    def linears(self) -> list[nn.Linear]:
        """Linear layers of the language model."""
        return [module for module in self.language_model.modules() if type(module) is nn.Linear]

    @torch.no_grad()
    def pixels(self, tokens: Tensor) -> Iterator[np.ndarray]:
        """Decode (N, T) image tokens to N pictures, (H, W, 3) uint8.

        A convolution's rounding depends on its batch: decoded together, a quarter of the mini world's images
        differ in a byte. So on the CPU, where bytes are promised, they are decoded one at a time.

        Raises:
            InputError: pixels that are not finite.
        """
        for batch in tokens.split(GPU_PICTURES if self.device.type == "cuda" else 1):
            decoded = self.model.decode_image_tokens(batch).float()  # (B, H, W, 3) in [-1, 1]
            if not decoded.isfinite().all():
                raise InputError(f"decoding image tokens: found pixels that are not finite, {FINITE_WANTED}")
            colours = (decoded.clamp(-1, 1) + 1) * 127.5
            yield from (colours.round() if self.rounded else colours).to(torch.uint8).cpu().numpy()


def _load_transformers(
    reference: str, settings: Mapping[str, Any], dtype: torch.dtype, revision: str | None
) -> tuple[JanusForConditionalGeneration, JanusProcessor]:
    """The model and processor of transformers' format, all weights as the files have them."""
    held = None
    if Path(reference).is_dir():
        files = check_folder(reference, WANTED)
        held = {name for file in files for name in dtypes(file)}
    with loading(reference, WANTED):
        model, report = JanusForConditionalGeneration.from_pretrained(
            reference,
            revision=revision,
            dtype=dtype,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # the report names them
        )
        processor = JanusProcessor.from_pretrained(reference, revision=revision)
    check_report(reference, report, WANTED)
    # Where the config says nothing, as the published ones, transformers ties the two, unless the file holds
    # both and they differ. The config does not learn of it, and would be saved with a wrong key.
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    if tied and held is not None and not settings.get("tie_word_embeddings") and HEAD not in held:
        check_names(reference, missing=[HEAD], unknown=[], wanted=WANTED)
    model.config.tie_word_embeddings = tied
    return model, processor
