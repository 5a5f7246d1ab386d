"""What the backbone is asked, in its chat template: the same words in training and in use."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the world's captions and tables are made without transformers
    from transformers import JanusProcessor

DESCRIBE = "describe the image"


def image_prompt(processor: "JanusProcessor", prompt: str) -> str:
    """The chat text that asks for an image; ``processor(generation_mode="image")`` adds begin-of-image."""
    return _chat(processor, [{"type": "text", "text": prompt}])


def caption_prompt(processor: "JanusProcessor", question: str = DESCRIBE) -> str:
    """The chat text that asks a question about one image."""
    return _chat(processor, [{"type": "image"}, {"type": "text", "text": question}])


def _chat(processor: "JanusProcessor", content: list[dict[str, str]]) -> str:
    return processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
