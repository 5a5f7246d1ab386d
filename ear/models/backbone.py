"""A backbone: a unified autoregressive model behind one interface.

Everything that the workflow does with a model goes through :class:`Backbone`. A family (Janus, Emu3, Liquid)
is a subclass of it, and ``ear.models.families`` loads the one that a checkpoint is of.
"""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import accumulate
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from ear.errors import InputError
from ear.models.chat_format import any_of, control_tokens, text_pieces
from ear.models.finite import WANTED as FINITE_WANTED
from ear.models.memory import DECODERS
from ear.models.weights import check_folder, check_names, check_report, dtypes, loading

Encoding = Literal["raw", "chat"]
DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}
HEAD = "lm_head.weight"


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


def left_padded(prompts: Sequence[Tensor], pad_id: int, length: int = 0) -> Tokens:
    """Prompts of any length, (L_i,) ids each, as one batch of the longest's length, or of ``length``."""
    padded = partial(pad_sequence, batch_first=True, padding_side="left")
    masks = [torch.ones_like(ids) for ids in prompts]
    ids, mask = padded(list(prompts), padding_value=pad_id), padded(masks)
    more = max(length - ids.shape[1], 0), 0
    return Tokens(functional.pad(ids, more, value=pad_id), functional.pad(mask, more))


def tensor_digest(tensor: Tensor) -> bytes:
    """SHA-256 of a tensor's dtype, shape and bytes."""
    digest = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}\n".encode())
    digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.digest()


class Layout:
    """Where forced tokens stand among the T codes of an image.

    A forced token, such as the end of a row, is read but never drawn: it has no random number, no loss and no
    place in a prefix. T, W, prefixes and thresholds count codes alone.

    Args:
        codes: T.
        forced: step → ids of the tokens that are read after the code of the step before it.
    """

    def __init__(self, codes: int, forced: Mapping[int, Sequence[int]] | None = None) -> None:
        self.forced = {step: tuple(ids) for step, ids in (forced or {}).items()}
        more = (len(self.forced.get(step, ())) + 1 for step in range(1, codes + 1))
        self.columns: Sequence[int] = [0, *accumulate(more)]
        """Step (0 … T) → columns of the image that are read before its code is drawn."""

    def ends(self, start: int, stop: int) -> slice | list[int]:
        """Places of the states of steps start … stop − 1 among the columns that are read for them.

        These columns begin behind the state of step start − 1; for start 0, with the prompt's last column.
        """
        if not self.forced:
            return slice(None)
        before = self.columns[start - 1] + 1 if start else 0
        return [self.columns[step] - before for step in range(start, stop)]


class Backbone(ABC):
    """A model with its tokenizer, ready to encode prompts, read hidden states and decode image tokens.

    Args:
        model: transformers' model, already on its device.
        processor: its processor, or its tokenizer where the family has no processor.
        reference: the folder or hub id it came from, for metadata.
        revision: commit of the hub repository, none for a folder.
        rounded: whether ``pixels`` rounds to the nearest byte; else the fraction is cut off, as transformers
            and the authors do.

    Attributes:
        family: its name, a key of ``ear.models.families.FAMILIES``.
        wanted: what a checkpoint of the family is, for errors.
        sees: whether the model answers questions about pictures.
        text_generation: further arguments of ``generate`` for answers in words.
        num_image_tokens: T, codes of an image.
        codebook_size: V.
        image_size: (height, width) of an image, in pixels.
        layout: forced tokens of an image.
        drawing: the drawing settings in words, since images depend on them; "" where there are none.
        drawing_keys: names of the family's drawing settings, which :meth:`load` takes.
        top_k: image tokens that are drawn from, the likeliest ones; None: all of them.
    """

    family: ClassVar[str]
    wanted: ClassVar[str]
    sees: ClassVar[bool]
    num_image_tokens: int
    codebook_size: int
    image_size: tuple[int, int]
    layout: Layout
    drawing: str = ""
    drawing_keys: ClassVar[tuple[str, ...]] = ()
    top_k: int | None = None

    def __init__(
        self,
        model: Any,
        processor: Any,
        reference: str = "",
        revision: str | None = None,
        rounded: bool = True,
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.processor = processor
        self.tokenizer = getattr(processor, "tokenizer", processor)
        self.reference = reference
        self.revision = revision
        self.rounded = rounded
        self._digests: dict[str, tuple[int, bytes]] = {}
        self.pad_id: int = self.tokenizer.pad_token_id
        self.text_generation: dict[str, Any] = {}

    @classmethod
    @abstractmethod
    def load(
        cls, reference: str, settings: Mapping[str, Any], dtype: torch.dtype, revision: str | None, **own: Any
    ) -> Self:
        """Load a checkpoint whose config.json is known to be of this family, onto the CPU.

        Args:
            reference: a folder made by ``save_pretrained``, or a hub id.
            settings: its config.json.
            dtype: of the weights.
            revision: commit of the hub repository; none for a folder.
            own: ``rounded``, and any of ``drawing_keys``.

        Raises:
            InputError: the checkpoint is not whole.
        """

    def save(self, folder: str | Path) -> None:
        """Write model and processor in the format that :meth:`load` reads."""
        self.model.save_pretrained(folder)
        self.processor.save_pretrained(folder)

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

    def source(self) -> str:
        """What all images and token sequences of the model depend on: its weights, and how it draws."""
        top_k = f"top_k={self.top_k}" if self.top_k else ""
        return " ".join(filter(None, [self.fingerprint(), self.drawing, top_k]))

    def encode(self, prompts: Sequence[str], encoding: Encoding) -> Tokens:
        """Token ids of prompts, left-padded to the longest.

        Args:
            prompts: B texts.
            encoding: "chat" puts each into the frame in which the family generates images; "raw" takes the
                prompt's tokens alone, as the training scripts of the paper do.

        Raises:
            InputError: a prompt with its image is longer than the model's context.
        """
        chat = encoding == "chat"
        before, after = self.frame() if chat else ("", "")
        image = self.layout.columns[-2] + 1  # the last code is never read
        room = self.model.config.get_text_config().max_position_embeddings - image
        ids = []
        for prompt in prompts:  # the chat template strips it
            ids.append(torch.tensor(self.text_ids(before, prompt.strip() if chat else prompt, after)))
            if len(ids[-1]) > room:
                raise InputError(
                    f"prompt {prompt[:60]!r}: found {len(ids[-1])} tokens, wanted at most {room}: "
                    f"the model's context less the {image} tokens of an image"
                )
        tokens = left_padded(ids, self.pad_id)
        return Tokens(tokens.ids.to(self.device), tokens.mask.to(self.device))

    @abstractmethod
    def frame(self) -> tuple[str, str]:
        """Text before and after a prompt, up to where code 0 is drawn."""

    @cached_property
    def controls(self) -> re.Pattern[str]:
        """What finds tokens of the tokenizer that are no text."""
        return any_of(control_tokens(self.tokenizer))

    def text_ids(self, before: str, text: str, after: str) -> list[int]:
        """Ids of a text that is text throughout, whatever it spells, between two parts of a template."""
        first, *others = text_pieces(text, self.controls)
        *pieces, last = [before + first, *others]
        ids: list[int] = []
        for piece in [*pieces, last + after]:
            ids += self.tokenizer(piece, add_special_tokens=not ids).input_ids
        return ids

    @abstractmethod
    def check_tokenizer(self) -> None:
        """Check that prompts are encoded as the model knows them.

        A tokenizer without begin-of-sentence, or one that loses blanks, draws other images without a word.

        Raises:
            InputError: a special token is missing, unknown to the model or in the wrong place, or blanks are
                lost.
        """

    def check_ends(self, ends: Sequence[tuple[Encoding, str, int]]) -> None:
        """Check where special tokens stand in an encoded prompt, and that the prompt keeps its blanks.

        Args:
            ends: (encoding, name of a token of the tokenizer, its place: 0 or −1), each wanted only once.

        Raises:
            InputError: a token is not there, or blanks are lost.
        """
        source, words = f"{self.reference}: tokenizer", "a photo of a church"
        for encoding, name, place in ends:
            held, token = self.encode([words], encoding).ids[0].tolist(), getattr(self.tokenizer, name)
            number = self.tokenizer.convert_tokens_to_ids(token)
            if held.count(number) != 1 or held[place] != number:
                found = " ".join(self.tokenizer.convert_ids_to_tokens(held))
                where = "last" if place else "first"
                raise InputError(f"{source}: found {found}, wanted {token} {where}, and only once")
        decoded = self.tokenizer.decode(self.text_ids("", words, ""), skip_special_tokens=True)
        if len(decoded.split()) != len(words.split()):
            raise InputError(f"{source}: found {decoded!r} after encoding {words!r}, wanted its blanks kept")

    @abstractmethod
    def unconditional(self, ids: Tensor) -> Tensor:
        """The unconditional twin of one prompt: (L,) ids → (L_u,) ids, of any length."""

    def with_unconditional(self, tokens: Tokens) -> Tokens:
        """Rows [conditional; unconditional] along the batch: (B, L) becomes (2B, max(L, L_u))."""
        prompts = unpadded(tokens)
        return left_padded([*prompts, *map(self.unconditional, prompts)], self.pad_id, tokens.length)

    def embed_text(self, ids: Tensor) -> Tensor:
        """Embeddings of text tokens: (B, L) → (B, L, D)."""
        return self.model.get_input_embeddings()(ids)

    def embed_image(self, codes: Tensor, first: int = 0) -> Tensor:
        """Embeddings of codes and of the forced tokens behind them: (B, n) → (B, columns, D).

        ``first`` is the step of the first code. The last column is the one whose state draws the code of step
        first + n.
        """
        ids = self.image_ids(codes)
        if forced := self.layout.forced:
            parts = []
            for place, column in enumerate(ids.unbind(dim=1)):
                words = forced.get(first + place + 1, ())
                parts += [column, *(torch.full_like(column, word) for word in words)]
            ids = torch.stack(parts, dim=1)
        return self.embed_columns(ids)

    def image_ids(self, codes: Tensor) -> Tensor:
        """What :meth:`embed_columns` knows codes by: the codes themselves, or words of the vocabulary."""
        return codes

    @abstractmethod
    def embed_columns(self, ids: Tensor) -> Tensor:
        """Embeddings of columns, of codes (:meth:`image_ids`) or forced tokens: (B, n) → (B, n, D)."""

    @abstractmethod
    def image_logits(self, hidden: Tensor) -> Tensor:
        """Logits over the codebook alone: (…, D) → (…, V)."""

    @property
    @abstractmethod
    def language_model(self) -> nn.Module:
        """The decoder, of ``layers.i.self_attn``; its ``last_hidden_state`` is that after the final norm."""

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
        for batch in tokens.split(DECODERS[self.family].pictures if self.device.type == "cuda" else 1):
            decoded = self.decoded(batch).float()
            if not decoded.isfinite().all():
                raise InputError(f"decoding image tokens: found pixels that are not finite, {FINITE_WANTED}")
            colours = (decoded.clamp(-1, 1) + 1) * 127.5
            yield from (colours.round() if self.rounded else colours).to(torch.uint8).cpu().numpy()

    @abstractmethod
    def decoded(self, codes: Tensor) -> Tensor:
        """Pictures of image tokens: (B, T) → (B, H, W, 3) floats, −1 to 1."""

    def question_inputs(self, question: str, images: Sequence[Image.Image]) -> Mapping[str, Tensor]:
        """The same question about each of some RGB pictures, as the model and ``generate`` take it.

        Raises:
            NotImplementedError: the family does not see (``sees``).
        """
        raise NotImplementedError(f"{self.family} models answer no questions about pictures")


def load_transformers(
    model_class: Any,
    processor_class: Any,
    reference: str,
    settings: Mapping[str, Any],
    dtype: torch.dtype,
    revision: str | None,
    wanted: str,
) -> tuple[Any, Any]:
    """The model and processor of transformers' format, all weights as the files have them.

    Raises:
        InputError: the checkpoint is not whole.
    """
    held = None
    if Path(reference).is_dir():
        files = check_folder(reference, wanted)
        held = {name for file in files for name in dtypes(file)}
    with loading(reference, wanted):
        model, report = model_class.from_pretrained(
            reference,
            revision=revision,
            dtype=dtype,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # the report names them
        )
        processor = processor_class.from_pretrained(reference, revision=revision)
    check_report(reference, report, wanted)
    # Where the config says nothing, as the published ones, transformers ties the two, unless the file holds
    # both and they differ. The config does not learn of it, and would be saved with a wrong key.
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    if tied and held is not None and not settings.get("tie_word_embeddings") and HEAD not in held:
        check_names(reference, missing=[HEAD], unknown=[], wanted=wanted)
    model.config.tie_word_embeddings = tied
    return model, processor
