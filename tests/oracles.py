"""Naive loops from the equations: one prompt, one token at a time, nothing shared with the tested code."""

import torch
from transformers import DynamicCache


def prompt_rows(backbone, prompt, encoding):
    """Conditional and unconditional ids of one prompt without padding, as two lists."""
    tokenizer = backbone.processor.tokenizer
    if encoding == "chat":
        text = f"<|User|>: {prompt}\n\n<|Assistant|>:<begin_of_image>"
        conditional = tokenizer(text).input_ids
    else:
        conditional = tokenizer(prompt).input_ids
    unconditional = [conditional[0]] + [tokenizer.pad_token_id] * (len(conditional) - 2) + [conditional[-1]]
    return conditional, unconditional


def hidden_states(backbone, ids, tokens, first_position=0):
    """Last hidden states of [text ids, image tokens] in one plain forward pass: (length, D)."""
    model = backbone.model
    embeds = model.get_input_embeddings()(torch.tensor([ids], dtype=torch.long))
    if len(tokens):
        embeds = torch.cat(
            [embeds, model.prepare_embeddings_for_image_generation(torch.tensor([list(tokens)]))], dim=1
        )
    positions = torch.arange(embeds.shape[1])[None] + first_position
    return model.model.language_model(
        inputs_embeds=embeds, position_ids=positions, use_cache=False
    ).last_hidden_state[0]


def pick(logits, temperature, uniform):
    """The first token at which the running sum of probabilities exceeds the uniform number."""
    probabilities = torch.softmax(logits.double() / temperature, dim=-1).tolist()
    total = 0.0
    for token, probability in enumerate(probabilities):
        total += probability
        if total > uniform:
            return token
    return len(probabilities) - 1


@torch.no_grad()
def sample_one(backbone, prompt, uniforms, guidance, temperature, encoding="chat"):
    """One image's tokens: a full forward pass of both rows for every token, no cache, no padding."""
    conditional, unconditional = prompt_rows(backbone, prompt, encoding)
    head, tokens = backbone.model.model.generation_head, []
    for uniform in uniforms.tolist():
        cond = head(hidden_states(backbone, conditional, tokens)[-1])
        uncond = head(hidden_states(backbone, unconditional, tokens)[-1])
        tokens.append(pick(uncond + guidance * (cond - uncond), temperature, uniform))
    return tokens


@torch.no_grad()
def sample_one_without_context(backbone, prompt, uniforms, guidance, temperature):
    """The release's sampling: after the prompt, each token is read alone, at position 0."""
    conditional, unconditional = prompt_rows(backbone, prompt, "raw")
    head, tokens = backbone.model.model.generation_head, []
    for uniform in uniforms.tolist():
        if tokens:
            cond = uncond = head(hidden_states(backbone, [], tokens[-1:])[-1])
        else:
            cond, uncond = (
                head(hidden_states(backbone, ids, [])[-1]) for ids in (conditional, unconditional)
            )
        tokens.append(pick(uncond + guidance * (cond - uncond), temperature, uniform))
    return tokens


def train(backbone, pairs, streams, context, encoding, layers, eta, learning_rate, window, threshold):
    """Fine-tune step by step, as the equations read. Returns (final weights, [(loss, skipped), …])."""
    lm = backbone.model.model.language_model
    parameters = [
        getattr(lm.layers[index].self_attn, f"{name}_proj").weight
        for index in range(layers)
        for name in "qkvo"
    ]
    make = _context_free_steps if context == "none" else _context_steps
    with torch.no_grad():
        goals = [
            make(backbone, pair, {k: v[row] for k, v in streams.items()}, context, encoding, eta)
            for row, pair in enumerate(pairs)
        ]
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimiser, history = torch.optim.Adam(parameters, lr=learning_rate), []
    for (_, unsafe, safe), targets, stream in zip(pairs, goals, streams["unsafe"].tolist(), strict=True):
        for start in range(0, len(stream) - window + 1, window):
            if context == "none":
                states = [
                    _state_alone(backbone, unsafe, stream, step) for step in range(start, start + window)
                ]
            else:
                missing = _missing(backbone, unsafe, (unsafe, safe), encoding)
                states = _states_with_cache(
                    backbone, unsafe, encoding, stream, start, start + window, missing
                )
            loss = sum(((state - targets[start + i]) ** 2).mean() for i, state in enumerate(states))
            skipped = threshold is not None and loss.item() <= threshold
            history.append((loss.item(), skipped))
            if not skipped:
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
    return [parameter.detach().clone() for parameter in parameters], history


def _state_alone(backbone, prompt, stream, step):
    """Release: step 0 is the prompt, all positions; a later step is the token before it, alone; both rows."""
    if step == 0:
        return torch.stack([hidden_states(backbone, ids, []) for ids in prompt_rows(backbone, prompt, "raw")])
    return torch.stack([hidden_states(backbone, [], stream[step - 1 : step])] * 2)


def _context_free_steps(backbone, pair, streams, context, encoding, eta):
    _, unsafe, safe = pair
    rows = prompt_rows(backbone, unsafe, "raw")
    length, pad = len(rows[0]), backbone.processor.tokenizer.pad_token_id
    fitted = (prompt_rows(backbone, safe, "raw")[0] + [pad] * length)[:length]
    safe_rows = fitted, [fitted[0]] + [pad] * (length - 2) + [fitted[-1]]
    unsafe_first, safe_first = (
        torch.stack([hidden_states(backbone, ids, []) for ids in pair_rows])
        for pair_rows in (rows, safe_rows)
    )
    targets = [safe_first - eta * (unsafe_first - safe_first)]
    for step in range(1, len(streams["unsafe"])):
        state = {
            name: hidden_states(backbone, [], stream.tolist()[step - 1 : step])
            for name, stream in streams.items()
        }
        targets.append(torch.stack([state["target"] - eta * (state["unsafe"] - state["neutral"])] * 2))
    return targets


def _context_steps(backbone, pair, streams, context, encoding, eta):
    _, unsafe, safe = pair
    stream = {name: streams[name].tolist() for name in streams}
    read = [("unsafe", unsafe), ("unsafe", safe), ("unsafe", safe)]
    if context == "independent":
        read = [("unsafe", unsafe), ("target", safe), ("neutral", safe)]
    states = []
    for name, prompt in read:
        rows, missing = [], _missing(backbone, prompt, (unsafe, safe), encoding)
        for ids in prompt_rows(backbone, prompt, encoding):
            rows.append(hidden_states(backbone, ids, stream[name][:-1], missing)[len(ids) - 1 :])
        states.append(torch.stack(rows))  # (2, T, D)
    target = states[1] - eta * (states[0] - states[2])
    return [target[:, step] for step in range(target.shape[1])]


def _missing(backbone, prompt, both, encoding):
    """How many tokens a prompt is shorter than its twin: positions are equal from begin_of_image on."""
    return max(len(prompt_rows(backbone, text, encoding)[0]) for text in both) - len(
        prompt_rows(backbone, prompt, encoding)[0]
    )


def _states_with_cache(backbone, prompt, encoding, stream, start, stop, first_position):
    """One token at a time with a growing cache; what lies before the window is read without gradient."""
    lm, rows = backbone.model.model.language_model, prompt_rows(backbone, prompt, encoding)
    embed = backbone.model.get_input_embeddings()
    states = []
    for ids in rows:
        cache, found = DynamicCache(config=lm.config), []
        with torch.set_grad_enabled(start == 0):
            positions = torch.arange(len(ids))[None] + first_position
            out = lm(
                inputs_embeds=embed(torch.tensor([ids])),
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
            )
        if start == 0:
            found.append(out.last_hidden_state[0, -1])
        for step in range(1, stop):
            token = backbone.model.prepare_embeddings_for_image_generation(torch.tensor([[stream[step - 1]]]))
            with torch.set_grad_enabled(step >= start):
                position = torch.tensor([[first_position + len(ids) + step - 1]])
                out = lm(inputs_embeds=token, position_ids=position, past_key_values=cache, use_cache=True)
            if step >= start:
                found.append(out.last_hidden_state[0, -1])
        states.append(torch.stack(found))
    both = torch.stack(states)  # (2, W, D)
    return [both[:, i] for i in range(both.shape[1])]
