"""The gradient attack's numbers: losses of appended tokens, and their gradients in token space."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ear.attacks.likelihood import stream_losses
from ear.attacks.vocabulary import OpenPrompt
from ear.finite import require_losses
from ear.janus import Backbone, left_padded

Case = tuple[OpenPrompt, Tensor, Tensor]
"""(prompt, (S,) appended tokens, (T,) the original model's image)"""


@torch.no_grad()
def stream_losses_of(backbone: Backbone, cases: Sequence[Case]) -> Tensor:
    """Mean cross-entropy of each image, given its prompt with the appended tokens: (B,) float32."""
    ids, mask, streams = _batch(backbone, cases)
    losses = stream_losses(backbone, backbone.embed_text(ids), mask, streams)
    require_losses(losses, lambda row: f"searched prompt {cases[row][0].text!r}")
    return losses


def token_gradients(backbone: Backbone, cases: Sequence[Case], vocabulary: Tensor) -> Tensor:
    """Gradient of each case's loss by the one-hot vectors of its appended tokens.

    A one-hot vector times the embedding matrix is a token's embedding; so the gradient by it is the
    embeddings of all tokens, times the gradient by that embedding.

    Args:
        backbone: the model under attack.
        cases: B, all with S appended tokens.
        vocabulary: (V,) ids of the tokens that are asked for.

    Returns:
        (B, S, V) float32.
    """
    ids, mask, streams = _batch(backbone, cases)
    stop = ids.shape[1] - len(cases[0][0].tail)
    place = slice(stop - len(cases[0][1]), stop)  # the same columns in all rows: prompts are left-padded
    with torch.enable_grad():
        embeddings = backbone.embed_text(ids)
        appended = embeddings[:, place].detach().requires_grad_()
        whole = torch.cat([embeddings[:, : place.start], appended, embeddings[:, place.stop :]], dim=1)
        losses = stream_losses(backbone, whole, mask, streams)
        require_losses(losses, lambda row: f"searched prompt {cases[row][0].text!r}")
        (gradient,) = torch.autograd.grad(losses.sum(), appended)  # (B, S, D)
    return gradient.float() @ backbone.embed_text(vocabulary).float().T


def _batch(backbone: Backbone, cases: Sequence[Case]) -> tuple[Tensor, Tensor, Tensor]:
    """(ids, mask, streams) of the closed prompts."""
    tokens = left_padded([prompt.closed(appended) for prompt, appended, _ in cases], backbone.pad_id)
    return tokens.ids, tokens.mask, torch.stack([stream for _, _, stream in cases])
