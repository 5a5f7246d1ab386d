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
from transformers import JanusConfig, JanusForConditionalGeneration, JanusProcessor, PreTrainedConfig

from ear.errors import InputError
from ear.models.chat_format import UNKNOWN, control_tokens, image_prompt, prompt_frame, text_pieces
from ear.models.finite import WANTED as FINITE
from ear.models.memory import GPU_PICTURES
from ear.models.weights import (
    check_file,
    check_finite,
    check_folder,
    check_names,
    check_report,
    dtypes,
    elements,
    loading,
)

Encoding = Literal["raw", "chat"]
JANUS, DEEPSEEK = "janus", "multi_modality"  # model types of transformers' format and of DeepSeek's own
WANTED = "a Janus model as deepseek-community/Janus-Pro-1B and -7B hold it"
HEAD = "lm_head.weight"
LARGER = 1.1  # than its files: a model that lacks weights, or is another one
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
        """Load a Janus checkpoint of transformers' format.

        The model's type is looked at before anything of its size is allocated, and all weights before
        anything is computed with them.

        Args:
            reference: a folder made by ``save_pretrained``, or a hub id ("deepseek-community/Janus-Pro-7B").
            dtype: "float32", "float64" or "bfloat16".
            device: "cpu" or "cuda".
            revision: commit of the hub repository; none for a folder.
            rounded: see the class.

        Raises:
            InputError: there is no Janus model at ``reference``, it is not whole, or its tokenizer is not one
                of Janus.
        """
        folder = Path(reference)
        if folder.is_dir():
            check_file(folder / "config.json", f"that of {WANTED}")
        try:
            settings, _ = PreTrainedConfig.get_config_dict(reference, revision=revision)
        except OSError as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{reference}: wanted a folder or hub id of {WANTED}; {reason}") from error
        if not isinstance(settings, dict):
            found = type(settings).__name__
            raise InputError(f"{reference}: config.json: found a {found}, wanted an object: that of {WANTED}")
        if (kind := settings.get("model_type")) != JANUS:
            whose = ", DeepSeek's own format" if kind == DEEPSEEK else ""
            raise InputError(
                f"{reference}: config.json: model_type: found {kind!r}{whose}, wanted {JANUS!r}: {WANTED}"
            )
        if "quantization_config" in settings:
            raise InputError(
                f"{reference}: config.json: found quantization_config, wanted {WANTED} that is not quantised"
            )
        model, processor = _load_transformers(reference, settings, DTYPES[dtype], revision)
        model = cast(JanusForConditionalGeneration, model.to(device))
        backbone = cls(model, processor, reference, revision, rounded)
        side = model.config.vq_config.num_patches
        if backbone.num_image_tokens != side**2:
            raise InputError(
                f"{reference}: config.json: vision_config.num_image_tokens: found "
                f"{backbone.num_image_tokens}, wanted {side**2}, the square of vq_config.num_patches"
            )
        check_finite(reference, backbone.model.state_dict())
        backbone.check_tokenizer()
        return backbone

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.model.device

    def fingerprint(self) -> str:
        """SHA-256 of all weights as they stand, with their names, dtypes and shapes.

        A tensor is read again only if it was written to since the last call: the first call on a 7B model
        reads 15 GB, a call after a set of edited weights was applied the replaced weights alone.
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
            InputError: a prompt with its image is longer than the model's context, or cannot be kept from
                being read as a special token of the model.
        """
        tokenizer = self.processor.tokenizer
        before, after = prompt_frame(self.processor) if encoding == "chat" else ("", "")
        if any(control in prompt for control in self.controls for prompt in prompts):
            texts = (
                [prompt.strip() for prompt in prompts] if encoding == "chat" else prompts
            )  # as the template does
            ids = [torch.tensor(self.text_ids(before, text, after)) for text in texts]
            tokens = left_padded(ids, self.pad_id)
            batch = {"input_ids": tokens.ids, "attention_mask": tokens.mask}
        elif encoding == "chat":
            texts = [image_prompt(self.processor, prompt) for prompt in prompts]
            batch = self.processor(text=texts, generation_mode="image", padding=True, return_tensors="pt")
        else:
            batch = tokenizer(list(prompts), padding=True, padding_side="left", return_tensors="pt")
        self._check_prompts(prompts, batch["input_ids"], batch["attention_mask"], before + after)
        return Tokens(batch["input_ids"].to(self.device), batch["attention_mask"].to(self.device))

    @cached_property
    def controls(self) -> dict[str, int]:
        """Tokens of the tokenizer that are no text, with their ids."""
        return control_tokens(self.processor.tokenizer)

    def text_ids(self, before: str, text: str, after: str) -> list[int]:
        """Ids of a text that is text throughout, whatever it spells, between two parts of a template."""
        first, *others = text_pieces(text, self.controls)
        *pieces, last = [before + first, *others]
        ids: list[int] = []
        for piece in [*pieces, last + after]:
            ids += self.processor.tokenizer(piece, add_special_tokens=not ids).input_ids
        return ids

    def _check_prompts(self, prompts: Sequence[str], ids: Tensor, mask: Tensor, frame: str) -> None:
        """No prompt brings special tokens into its sequence, and each leaves room for an image."""
        tokenizer = self.processor.tokenizer
        # What stands for unknown words is text, also where a file does not say which token that is.
        unknown = {tokenizer.unk_token_id, self.controls.get(UNKNOWN)}
        controls = set(self.controls.values()) - unknown
        known = sum(one in controls for one in tokenizer(frame).input_ids)
        found = (torch.isin(ids, torch.tensor(sorted(controls))) & mask.bool()).sum(dim=1).tolist()
        room = self.model.config.text_config.max_position_embeddings - self.num_image_tokens
        for prompt, count, length in zip(prompts, found, mask.sum(dim=1).tolist(), strict=True):
            if count != known:
                raise InputError(f"prompt {prompt[:60]!r}: found a special token of the model, wanted text")
            if length > room:
                raise InputError(
                    f"prompt {prompt[:60]!r}: found {length} tokens, wanted at most {room}: "
                    f"the model's context less the {self.num_image_tokens} tokens of an image"
                )

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
            if name != "pad_token" and number == self.pad_id:
                raise InputError(f"{source}: pad_token: found that of {name}, wanted one of its own")
        if len(tokenizer) > rows:
            raise InputError(f"{source}: found {len(tokenizer)} tokens, wanted at most the model's {rows}")
        if ids["image_token"] != (wanted := self.model.config.image_token_id):
            raise InputError(
                f"{source}: image_token: found {ids['image_token']}, wanted {wanted} as in config.json"
            )
        words = "a photo of a church"
        for encoding in ("raw", "chat"):
            tokens = self.encode([words, "a"], encoding)
            first, second = unpadded(tokens)
            ends = [("bos_token", "first", first[0]), ("boi_token", "last", first[-1])]
            for which, place, held in ends if encoding == "chat" else ends[:1]:
                if first.tolist().count(ids[which]) != 1 or int(held) != ids[which]:
                    found = " ".join(tokenizer.convert_ids_to_tokens(first))
                    raise InputError(
                        f"{source}: {encoding} prompt: found {found}, "
                        f"wanted {special[which]} {place}, and once"
                    )
            if len(second) == tokens.length or int(tokens.ids[1, 0]) != self.pad_id:
                raise InputError(f"{source}: {encoding} prompts: found no padding on the left, wanted it")
        decoded = tokenizer.decode(self.encode([words], "raw").ids[0, 1:])
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
        """Decode image tokens to pictures: on the CPU one at a time, on a GPU ``GPU_PICTURES`` at once.

        A convolution's rounding depends on the size of its batch and on the place in it: decoded together, a
        quarter of the mini world's images differ in a byte. On the CPU, where bytes are promised, they cost
        no more alone.

        Args:
            tokens: (N, T) int64.

        Yields:
            N arrays (H, W, 3) uint8, in order.

        Raises:
            InputError: pixels that are not finite.
        """
        for batch in tokens.split(GPU_PICTURES if self.device.type == "cuda" else 1):
            decoded = self.model.decode_image_tokens(batch).float()  # (B, H, W, 3) in [-1, 1]
            if not decoded.isfinite().all():
                raise InputError(f"decoding image tokens: found pixels that are not finite, {FINITE}")
            colours = (decoded.clamp(-1, 1) + 1) * 127.5
            yield from (colours.round() if self.rounded else colours).to(torch.uint8).cpu().numpy()


def _load_transformers(
    reference: str, settings: Mapping[str, Any], dtype: torch.dtype, revision: str | None
) -> tuple[JanusForConditionalGeneration, JanusProcessor]:
    """The model and processor of transformers' format.

    Raises:
        InputError: a file is missing or not whole, or a weight is missing, unknown or of another shape.
    """
    held = None
    if Path(reference).is_dir():
        files = check_folder(reference, WANTED)
        held = {name for file in files for name in dtypes(file)}
        _check_size(reference, settings, sum(map(elements, files)))
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


def _check_size(reference: str, settings: Mapping[str, Any], held: int) -> None:
    """Refuse a model far larger than its files before it is allocated: it would hold random weights."""
    with loading(reference, WANTED), torch.device("meta"):
        config = cast(JanusConfig, JanusConfig.from_dict(dict(settings)))
        wanted = sum(one.numel() for one in JanusForConditionalGeneration(config).parameters())
    if wanted > LARGER * held:
        raise InputError(
            f"{reference}: config.json: found a model of {wanted} weights beside files of {held}, wanted the "
            f"config of those files: {WANTED}"
        )
