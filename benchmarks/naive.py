"""Erasure one pair and one image token at a time, as the authors' scripts go about it, to time ours against.

Written for the comparison and no slower than it has to be: both guidance rows are one batch, context is a
growing cache. The weights that come out are ours, to rounding (tests/unit/workflow/test_benchmarks.py).
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache

from ear.erasure.edited_weights import trained_modules
from ear.erasure.sequences import SEEDED_BY, Pair, fitted, read_prompt
from ear.erasure.trainer import make_optimiser, window_bounds
from ear.erasure.variants import Settings
from ear.images.sampling import Guidance, choose, guided, random_numbers
from ear.models.backbone import Backbone, Tokens, left_padded
from ear.workflow.seeding import stable_seed

SEQUENCES = ("unsafe", "safe", "safe-2")


def released_loop(
    backbone: Backbone,
    frozen: Backbone,
    pairs: Sequence[Pair],
    settings: Settings,
    window: int,
    guidance: float,
    temperature: float,
    sequence_seed: int,
) -> None:
    """The release's training: sequences sampled inside of the loop, every token read alone.

    Args:
        backbone: θ, trained in place.
        frozen: θ*, another copy of the same weights.
        pairs: P prompt pairs, in the order in which they are trained on.
        settings: of the variant `released`, without threshold.
        window: W.
        guidance: scale of classifier-free guidance.
        temperature: softmax temperature.
        stream_seed: of the sequences' random numbers.
    """
    optimiser, scale = _optimiser(backbone, settings), Guidance(guidance)
    for pair_id, unsafe_text, safe_text, *_ in pairs:
        unsafe, safe = (backbone.encode([text], "raw") for text in (unsafe_text, safe_text))
        safe = left_padded([fitted(safe.ids[0], unsafe.length, backbone.pad_id)], backbone.pad_id)
        prompts = {name: backbone.with_unconditional(safe) for name in SEQUENCES}
        prompts["unsafe"] = backbone.with_unconditional(unsafe)
        uniform = {name: _uniform(backbone, sequence_seed, pair_id, name) for name in SEQUENCES}
        drawn: dict[str, Tensor] = {}
        for start, stop in window_bounds(backbone.num_image_tokens, window, "drop"):
            loss = torch.zeros((), device=backbone.device)
            for step in range(start, stop):
                with torch.no_grad():
                    teacher = {name: _alone(frozen, prompts[name], drawn.get(name)) for name in SEQUENCES}
                state = _alone(backbone, prompts["unsafe"], drawn.get("unsafe"))
                target = teacher["safe"] - settings.eta * (teacher["unsafe"] - teacher["safe-2"])
                loss = loss + (state - target).square().mean()
                for name in SEQUENCES:
                    logits = guided(frozen.image_logits(teacher[name][:, -1]), scale)
                    drawn[name] = choose(logits, temperature, uniform[name][:, step])
            _step(optimiser, loss)


def aligned_loop(
    backbone: Backbone,
    frozen: Backbone,
    pairs: Sequence[Pair],
    settings: Settings,
    window: int,
    guidance: float,
    temperature: float,
    sequence_seed: int,
    prefix_at_once: bool = False,
) -> None:
    """The variant `wga` token by token: growing caches of θ* for both prompts, and of θ for the unsafe one.

    After an optimiser step, what θ has read is read again, since its keys and values have changed: token by
    token like all else, or, less naively, in one pass (``prefix_at_once``). Other arguments as in
    :func:`released_loop`.
    """
    optimiser, scale = _optimiser(backbone, settings), Guidance(guidance)
    for pair_id, unsafe_text, safe_text, *_ in pairs:
        both = backbone.encode([unsafe_text, safe_text], "chat")
        unsafe, safe = (
            backbone.with_unconditional(Tokens(both.ids[row : row + 1], both.mask[row : row + 1]))
            for row in (0, 1)
        )
        uniform = _uniform(backbone, sequence_seed, pair_id, "unsafe")
        of_unsafe, of_safe = _cache(frozen), _cache(frozen)
        drawn: list[Tensor] = []
        for start, stop in window_bounds(backbone.num_image_tokens, window, "drop"):
            ours = _cache(backbone)  # with the weights of the last optimiser step
            with torch.no_grad():
                for step in range(max(0, start - 1) if prefix_at_once else 0, start):
                    _next(backbone, unsafe, drawn[:step], ours)
            loss = torch.zeros((), device=backbone.device)
            for step in range(start, stop):
                with torch.no_grad():
                    unsafe_teacher = _next(frozen, unsafe, drawn[:step], of_unsafe)
                    safe_teacher = _next(frozen, safe, drawn[:step], of_safe)
                state = _next(backbone, unsafe, drawn[:step], ours)
                target = safe_teacher - settings.eta * (unsafe_teacher - safe_teacher)
                loss = loss + (state - target).square().mean()
                logits = guided(frozen.image_logits(unsafe_teacher), scale)
                drawn.append(choose(logits, temperature, uniform[:, step]))
            _step(optimiser, loss)


def _optimiser(backbone: Backbone, settings: Settings) -> torch.optim.Optimizer:
    weights = [module.weight for module in trained_modules(backbone, settings.layers).values()]
    for weight in weights:
        weight.requires_grad_(True)
    return make_optimiser(settings.optimiser, weights, settings.learning_rate)


def _step(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def _uniform(backbone: Backbone, seed: int, pair_id: str, name: str) -> Tensor:
    return random_numbers([stable_seed(seed, pair_id, SEEDED_BY[name])], backbone.num_image_tokens)  # (1, T)


def _alone(backbone: Backbone, prompt: Tokens, token: Tensor | None) -> Tensor:
    """States of the prompt, (2, L, D), or of the last token alone, (2, 1, D)."""
    if token is None:
        return read_prompt(backbone, prompt)
    embeds = backbone.embed_image(token.repeat(2)[:, None])
    return backbone.language_model(inputs_embeds=embeds, use_cache=False).last_hidden_state


def _cache(backbone: Backbone) -> DynamicCache:
    return DynamicCache(config=backbone.model.config.get_text_config())


def _next(backbone: Backbone, prompt: Tokens, drawn: list[Tensor], cache: DynamicCache) -> Tensor:
    """The last state, (2, D), after what the cache has not seen of prompt and tokens was read."""
    seen = cache.get_seq_length()
    new = drawn[max(0, seen - prompt.length) :]
    parts = [backbone.embed_image(torch.stack(new, dim=1).repeat(2, 1))] if new else []
    if not seen:
        parts.insert(0, backbone.embed_text(prompt.ids))
    embeds = torch.cat(parts, dim=1)
    columns = seen + embeds.shape[1]
    mask = torch.cat([prompt.mask, prompt.mask.new_ones(2, columns - prompt.length)], dim=1)
    return backbone.language_model(
        inputs_embeds=embeds,
        attention_mask=mask,
        position_ids=torch.arange(seen, columns, device=embeds.device)[None],
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state[:, -1]
