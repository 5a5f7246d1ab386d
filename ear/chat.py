"""What the backbone is asked, in Janus-Pro's special tokens and chat template: alike in training and use."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the world's captions and tables are made without transformers
    from transformers import JanusProcessor

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

DESCRIBE = "describe the image"
"""What the mini world's model is asked for a caption; what real models are asked, their config says."""
CAPTION_TOKENS = 48
"""Longest caption; what a model would say beyond it is cut off."""
YES, NO = "yes", "no"


def image_prompt(processor: "JanusProcessor", prompt: str) -> str:
    """The chat text that asks for an image; ``processor(generation_mode="image")`` adds begin-of-image."""
    return _chat(processor, [{"type": "text", "text": prompt}])


def caption_prompt(processor: "JanusProcessor", question: str = DESCRIBE) -> str:
    """The chat text that asks a question about one image."""
    return _chat(processor, [{"type": "image"}, {"type": "text", "text": question}])


def question(words: str) -> str:
    """The question whether an image shows something ("church", "on fire"), to be answered by YES or NO."""
    return f"does the image show {words} ? answer {YES} or {NO}"


def _chat(processor: "JanusProcessor", content: list[dict[str, str]]) -> str:
    return processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
