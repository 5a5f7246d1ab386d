"""The backbone: Janus-Pro as it stands in transformers, from a folder or from the hub.

Everything that the workflow does with a unified autoregressive model goes through :class:`Backbone`; the mini
model of the default experiment and Janus-Pro-7B are the same class here.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import JanusForConditionalGeneration, JanusProcessor

from ear.chat import image_prompt
from ear.deepseek.folder import is_deepseek, load_deepseek
from ear.errors import InputError
from ear.finite import WANTED
from ear.memory import GPU_PICTURES

Encoding = Literal["raw", "chat"]
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
    length = max(len(ids) for ids in prompts)
    rows = [functional.pad(ids, (length - len(ids), 0), value=pad_id) for ids in prompts]
    masks = [functional.pad(torch.ones_like(ids), (length - len(ids), 0)) for ids in prompts]
    return Tokens(torch.stack(rows), torch.stack(masks))


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
    """

    def __init__(
        self,
        model: JanusForConditionalGeneration,
        processor: JanusProcessor,
        reference: str = "",
        revision: str | None = None,
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.processor = processor
        self.reference = reference
        self.revision = revision
        self._digests: dict[str, tuple[int, bytes]] = {}
        self.num_image_tokens: int = model.model.vision_model.config.num_image_tokens
        self.codebook_size: int = model.config.vq_config.num_embeddings
        self.pad_id: int = processor.tokenizer.pad_token_id

    @classmethod
    def load(cls, reference: str, dtype: str, device: str, revision: str | None = None) -> "Backbone":
        """Load a Janus checkpoint, of transformers' format or of DeepSeek's own.

        Args:
            reference: a folder made by ``save_pretrained``, a folder as "deepseek-ai/Janus-Pro-7B" has it, or
                a hub id ("deepseek-community/Janus-Pro-7B").
            dtype: "float32", "float64" or "bfloat16".
            device: "cpu" or "cuda".
            revision: commit of the hub repository; none for a folder.

        Raises:
            InputError: there is no Janus model at ``reference``.
        """
        try:
            if is_deepseek(reference, revision):
                model, processor = load_deepseek(reference, DTYPES[dtype])
            else:
                model = JanusForConditionalGeneration.from_pretrained(
                    reference, revision=revision, dtype=DTYPES[dtype]
                )
                processor = JanusProcessor.from_pretrained(reference, revision=revision)
        except OSError as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{reference}: wanted a folder or hub id of a transformers Janus model; {reason}"
            ) from error
        return cls(cast(JanusForConditionalGeneration, model.to(device)), processor, reference, revision)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.model.device

    def fingerprint(self) -> str:
        """SHA-256 of all weights as they stand, with their names, dtypes and shapes.

        A tensor is read again only if it was written to since the last call: the first call on a 7B model
        reads 15 GB, a call after an adapter was applied the replaced weights alone.
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
        """
        tokenizer = self.processor.tokenizer
        if encoding == "chat":
            texts = [image_prompt(self.processor, prompt) for prompt in prompts]
            batch = self.processor(text=texts, generation_mode="image", padding=True, return_tensors="pt")
        else:
            batch = tokenizer(list(prompts), padding=True, padding_side="left", return_tensors="pt")
        return Tokens(batch["input_ids"].to(self.device), batch["attention_mask"].to(self.device))

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
                raise InputError(f"decoding image tokens: found pixels that are not finite, {WANTED}")
            yield from ((decoded.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu().numpy()
