"""How likely a model finds given images: the loss that both attacks look at."""

import torch
from torch import Tensor
from torch.nn import functional

from ear.janus import Backbone


def stream_losses(backbone: Backbone, prompts: Tensor, mask: Tensor, streams: Tensor) -> Tensor:
    """Mean cross-entropy of each image's tokens, read after its prompt (teacher forcing); with gradients.

    Args:
        backbone: the model.
        prompts: (B, L, D) embeddings of left-padded prompts.
        mask: (B, L), 0 on the padding.
        streams: (B, T) int64 image tokens.

    Returns:
        (B,) float32, in nats a token.
    """
    length, (rows, steps) = prompts.shape[1], streams.shape
    embeddings = torch.cat([prompts, backbone.embed_image(streams[:, :-1])], dim=1)
    whole = functional.pad(mask, (0, steps - 1), value=1)  # (B, L + T − 1)
    hidden = backbone.language_model(
        inputs_embeds=embeddings,
        attention_mask=whole,
        position_ids=(whole.cumsum(dim=1) - 1).clamp_min(0),
        use_cache=False,
    ).last_hidden_state[:, length - 1 :]
    logits = backbone.image_logits(hidden).float()  # (B, T, V)
    losses = functional.cross_entropy(logits.flatten(0, 1), streams.flatten(), reduction="none")
    return losses.view(rows, steps).mean(dim=1)
