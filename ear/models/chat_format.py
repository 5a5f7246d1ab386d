"""What the backbone is asked, in Janus-Pro's special tokens and chat template: alike in training and use."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the world's captions and tables are made without transformers
    from transformers import JanusProcessor, PreTrainedTokenizerBase

BOS, EOS, PAD = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"
IMAGE, IMAGE_START, IMAGE_END = "<image_placeholder>", "<begin_of_image>", "<end_of_image>"
USER, ASSISTANT, UNKNOWN = "<|User|>", "<|Assistant|>", "<unk>"
SPECIAL_TOKENS = (BOS, EOS, PAD, IMAGE, IMAGE_START, IMAGE_END, USER, ASSISTANT, UNKNOWN)

# Gives what the template of the published checkpoints gives: "<|User|>: text\n\n<|Assistant|>:", an image as
# its placeholder on a line of its own, and the end-of-sentence token after an answer that is not the last.
CHAT_TEMPLATE = """\
{%- for message in messages -%}
{%- set user = message['role'] | lower == 'user' -%}
{{- '<|User|>: ' if user else '<|Assistant|>: ' -}}
{%- for part in message['content'] -%}
{{- '\\n' if part['type'] == 'image' and not loop.first -}}
{{- '<image_placeholder>' if part['type'] == 'image' -}}
{{- '\\n' if part['type'] == 'image' and not loop.last -}}
{{- part['text'] | trim if part['type'] == 'text' -}}
{%- endfor -%}
{%- if not loop.last or add_generation_prompt -%}
{{- '\\n\\n' if user else '<｜end▁of▁sentence｜>' -}}
{%- endif -%}
{%- endfor -%}
{{- '<|Assistant|>:' if add_generation_prompt -}}
"""

LOOKS_SPECIAL = re.compile(r"<[^<>\s]+>")
"""What looks like a special token of some model, or like markup: <|endoftext|>, <lora:name:1>, <unk>."""
_HERE = "{prompt}"

DESCRIBE = "describe the image"
"""What the mini world's model is asked for a caption; what real models are asked, their config says."""
CAPTION_TOKENS = 48
"""Longest caption; what a model would say beyond it is cut off."""
YES, NO = "yes", "no"


def image_prompt(processor: "JanusProcessor", prompt: str) -> str:
    """The chat text that asks for an image; ``processor(generation_mode="image")`` adds begin-of-image."""
    return _chat(processor, [{"type": "text", "text": prompt}])


def prompt_frame(processor: "JanusProcessor") -> tuple[str, str]:
    """What stands around a prompt in the chat text that asks for an image; begin-of-image is last."""
    before, after = image_prompt(processor, _HERE).split(_HERE)
    return before, after + processor.tokenizer.boi_token


def control_tokens(tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    """Tokens that steer the model; added tokens that are mere letters are text."""
    return [
        token.content
        for token in tokenizer.added_tokens_decoder.values()
        if len(token.content) > 1 and (token.special or not token.content.isalpha())
    ]


def any_of(controls: Iterable[str]) -> re.Pattern[str]:
    """What finds control tokens, the longest first. A family may have 33 000: make it once."""
    return re.compile("|".join(map(re.escape, sorted(controls, key=len, reverse=True))) or "(?!)")


def text_pieces(text: str, sought: re.Pattern[str]) -> list[str]:
    """A text cut so that no piece holds a control token: each is cut behind its first character.

    Tokenised apart and put together, the pieces are the text as text: "<" and "end_of_image>".
    """
    cuts, place = [0], 0
    while found := sought.search(text, place):
        place = found.start() + 1
        cuts.append(place)
    return [text[start:end] for start, end in zip(cuts, [*cuts[1:], len(text)], strict=True)]


def caption_prompt(processor: "JanusProcessor", question: str = DESCRIBE) -> str:
    """The chat text that asks a question about one image."""
    return _chat(processor, [{"type": "image"}, {"type": "text", "text": question}])


def question(words: str) -> str:
    """The question whether an image shows something ("church", "on fire"), to be answered by YES or NO."""
    return f"does the image show {words} ? answer {YES} or {NO}"


def _chat(processor: "JanusProcessor", content: list[dict[str, str]]) -> str:
    return processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
