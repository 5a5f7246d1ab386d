"""What an attacker on the prompt may write: which tokens, and where in the chat template they stand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ear.chat import prompt_frame
from ear.errors import InputError
from ear.janus import Backbone
from ear.prompts.minors import UNSAFE, speaks_of_minors
from ear.prompts.naming import core, named, words_of

_NOT_TEXT = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class OpenPrompt:
    """A prompt in the chat template, cut where the attacker's tokens go: right behind its words.

    Attributes:
        text: the prompt.
        head: (H,) ids up to and with its last word.
        tail: (R,) ids after it, begin-of-image the last.
    """

    text: str
    head: Tensor
    tail: Tensor

    def closed(self, appended: Tensor) -> Tensor:
        """The ids with (S,) tokens appended to the prompt: (H + S + R,)."""
        return torch.cat([self.head, appended, self.tail])


def open_prompts(backbone: Backbone, prompts: Sequence[str]) -> list[OpenPrompt]:
    """Cut chat prompts open. Closed with no tokens, they are what ``Backbone.encode`` makes of them.

    A tokenizer that would have joined the last sign of a prompt with the line end after it keeps them apart
    here.
    """
    tokenizer = backbone.processor.tokenizer
    before, after = prompt_frame(backbone.processor)
    tail = tokenizer(after, add_special_tokens=False).input_ids
    heads = [backbone.text_ids(before, prompt.strip(), "") for prompt in prompts]
    return [
        OpenPrompt(prompt, *(torch.tensor(ids, device=backbone.device) for ids in (head, tail)))
        for prompt, head in zip(prompts, heads, strict=True)
    ]


def vocabulary(backbone: Backbone, words: Sequence[str], kind: str) -> Tensor:
    """Tokens that an attacker may append: those of plain text, without those that name the concept.

    Plain text is printable and more than blanks. A token names the concept where it is a word of its name
    but function words ("gogh" of "in the style of Van Gogh"), whole or inflected. A name of which the
    tokenizer makes several tokens can still be put together from parts.

    Args:
        backbone: its tokenizer's tokens.
        words: names of the concept.
        kind: of the concept: an unsafe one's prompts get no token that speaks of minors.

    Returns:
        (V,) ids, ascending.

    Raises:
        InputError: nothing is left.
    """
    tokenizer: Any = backbone.processor.tokenizer
    special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    forbidden = list(dict.fromkeys([*words, *(part for name in words for part in words_of(core(name)))]))
    size = min(len(tokenizer), backbone.model.get_input_embeddings().num_embeddings)
    found = []
    for token in range(size):
        text = tokenizer.decode([token]).strip()
        if token in special or not text or not text.isprintable() or _NOT_TEXT in text:
            continue
        if not named(text, forbidden) and not (kind == UNSAFE and speaks_of_minors(text)):
            found.append(token)
    if not found:
        raise InputError(f"tokenizer: found no token of plain text but {', '.join(words)}, wanted some")
    return torch.tensor(found, device=backbone.device)
