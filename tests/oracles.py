"""Naive loops from the equations: one prompt, one token at a time, nothing shared with the tested code."""

import torch
from torch.nn.utils import parametrize
from transformers import DynamicCache

from tests.oracles_families import told


def prompt_rows(backbone, prompt, encoding="chat"):
    """Conditional and unconditional ids of one prompt without padding, as two lists."""
    return told(backbone).rows(prompt, encoding)


def hidden_states(backbone, ids, tokens, first_position=0):
    """Last hidden states of [text ids, image tokens] in one plain forward pass: (ids + tokens, D)."""
    return states_behind(backbone, told(backbone).embed(ids), tokens, first_position)


def states_behind(backbone, text, tokens, first_position=0):
    """As :func:`hidden_states`, of embedded text (L, D).

    What a family reads behind an image token belongs to it: its state is that of its last column.
    """
    family = told(backbone)
    parts = [text, *(family.columns(code, step) for step, code in enumerate(tokens))]
    embeds = torch.cat(parts)[None]
    positions = torch.arange(embeds.shape[1])[None] + first_position
    hidden = family.language_model(
        inputs_embeds=embeds, position_ids=positions, use_cache=False
    ).last_hidden_state[0]
    last = torch.tensor([len(part) for part in parts]).cumsum(0) - 1
    return torch.cat([hidden[: len(text)], hidden[last[1:]]])


def pick(logits, temperature, uniform):
    """The first token at which the running sum of probabilities exceeds the uniform number."""
    if temperature == 0:
        return int(logits.argmax())
    probabilities = torch.softmax(logits.double() / temperature, dim=-1).tolist()
    total = 0.0
    for token, probability in enumerate(probabilities):
        total += probability
        if total > uniform:
            return token
    return len(probabilities) - 1


@torch.no_grad()
def sample_one(
    backbone,
    prompt,
    random_numbers,
    guidance,
    temperature,
    encoding="chat",
    prefix=(),
    negative=None,
    strength=0.0,
):
    """One image's tokens: full forward passes of all rows for every token, no cache, no padding."""
    rows = [*prompt_rows(backbone, prompt, encoding), prompt_rows(backbone, negative or prompt, encoding)[0]]
    head, tokens = told(backbone).head, list(prefix)
    for uniform in random_numbers.tolist()[len(prefix) :]:
        cond, uncond, away = (head(hidden_states(backbone, ids, tokens)[-1]) for ids in rows)
        logits = uncond + guidance * (cond - uncond) - strength * (away - uncond)
        tokens.append(pick(logits, temperature, uniform))
    return tokens


@torch.enable_grad()
def naive_inversion(backbone, prompts, images, start, steps, learning_rate):
    """Adam, as its equations read, on the one embedding of an id that no token has. (embedding, losses)."""
    model, matrix = backbone.model, backbone.model.get_input_embeddings().weight
    vector = start.to(matrix.dtype).clone().requires_grad_()
    first, second, losses = torch.zeros_like(vector), torch.zeros_like(vector), []
    for step in range(1, steps + 1):
        loss = 0.0
        for ids, image in zip(prompts, images, strict=True):
            text = torch.stack([vector if token >= len(matrix) else matrix[token] for token in ids.tolist()])
            columns = model.prepare_embeddings_for_image_generation(image[None, :-1])[0]
            hidden = model.model.language_model(
                inputs_embeds=torch.cat([text, columns])[None], use_cache=False
            ).last_hidden_state[0, len(ids) - 1 :]
            chosen = torch.log_softmax(model.model.generation_head(hidden), dim=-1)[range(len(image)), image]
            loss = loss - chosen.mean() / len(images)
        losses.append(loss.item())
        (slope,) = torch.autograd.grad(loss, vector)
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        change = first / (1 - 0.9**step) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
        vector = (vector - learning_rate * change).detach().requires_grad_()
    return vector.detach(), losses


@torch.no_grad()
def sample_one_without_context(backbone, prompt, unsafe, random_numbers, guidance, temperature):
    """The release's sampling: the prompt is cut or padded to the unsafe one, then each token is read alone."""
    pad, length = backbone.processor.tokenizer.pad_token_id, len(prompt_rows(backbone, unsafe, "raw")[0])
    conditional = (prompt_rows(backbone, prompt, "raw")[0] + [pad] * length)[:length]
    unconditional = [conditional[0]] + [pad] * (length - 2) + [conditional[-1]]
    head, tokens = told(backbone).head, []
    for uniform in random_numbers.tolist():
        if tokens:
            cond = uncond = head(hidden_states(backbone, [], tokens[-1:])[-1])
        else:
            cond, uncond = (
                head(hidden_states(backbone, ids, [])[-1]) for ids in (conditional, unconditional)
            )
        tokens.append(pick(uncond + guidance * (cond - uncond), temperature, uniform))
    return tokens


class LowRank(torch.nn.Module):
    """W + α/r · B A in place of a weight W."""

    def __init__(self, a, rows, alpha):
        super().__init__()
        self.a, self.b = torch.nn.Parameter(a.clone()), torch.nn.Parameter(a.new_zeros(rows, len(a)))
        self.scale = alpha / len(a)

    def forward(self, weight):
        return weight + self.scale * self.b @ self.a


def train(backbone, pairs, sequences, settings, window, threshold):
    """Fine-tune step by step, as the equations read. Returns (final weights, [(loss, skipped), …]).

    In contexts mixed and anchored ``sequences`` holds each pair's "cuts" too.
    """
    lm = told(backbone).language_model
    parameters = [
        getattr(lm.layers[index].self_attn, f"{name}_proj").weight
        for index in range(settings.layers)
        for name in "qkvo"
    ]
    history = stepped(backbone, pairs, sequences, settings, window, threshold, parameters)
    return [parameter.detach().clone() for parameter in parameters], history


def train_low_rank(backbone, pairs, sequences, settings, window, first):
    """As :func:`train`, of factors whose A begins as ``first``. Returns ({module: W + α/r · B A}, history)."""
    lm, changes = told(backbone).language_model, {}
    for index in range(settings.layers):
        for part, names in (("self_attn", "qkvo"), ("mlp", ("gate", "up", "down"))):
            for name in (f"layers.{index}.{part}.{letter}_proj" for letter in names):
                module = lm.get_submodule(name)
                changes[name] = LowRank(first[f"{name}.lora_A"], len(module.weight), settings.lora.alpha)
                parametrize.register_parametrization(module, "weight", changes[name])
    parameters = [factor for change in changes.values() for factor in change.parameters()]
    history = stepped(backbone, pairs, sequences, settings, window, None, parameters)
    return {name: lm.get_submodule(name).weight.detach().clone() for name in changes}, history


def stepped(backbone, pairs, sequences, settings, window, threshold, parameters):
    """Train some parameters: [(loss, skipped), …] of all windows."""
    variant = settings.variant
    mixed = variant.context in ("mixed", "anchored")
    make = _kept_steps if mixed else {"none": _context_free_steps}.get(variant.context, _context_steps)
    with torch.no_grad():
        teacher = [
            make(backbone, pair, {k: v[row] for k, v in sequences.items()}, settings)
            for row, pair in enumerate(pairs)
        ]
    for parameter in parameters:
        parameter.requires_grad_(True)
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    optimiser = kinds[settings.optimiser](parameters, lr=settings.learning_rate)
    history = []
    prepared = list(zip(pairs, teacher, sequences["unsafe"].tolist(), range(len(pairs)), strict=True))
    for (_, unsafe, safe, *_), targets, sequence, row in prepared * settings.passes:
        for start in range(0, len(sequence), window):
            stop = min(start + window, len(sequence))
            if stop - start < window and variant.tail == "drop":
                break
            if mixed:
                of_pair = {name: rows[row].tolist() for name, rows in sequences.items()}
                losses = _mixed_losses(backbone, pairs[row], of_pair, targets, start, stop, variant)
            else:
                losses = _window_losses(backbone, (unsafe, safe), sequence, targets, start, stop, variant)
            counted = _counted(losses, variant.threshold, threshold)
            history.append((sum(loss.item() for loss in losses), not counted))
            if counted:
                optimiser.zero_grad()
                sum(counted).backward()
                if variant.max_grad_norm is not None:
                    torch.nn.utils.clip_grad_norm_(parameters, variant.max_grad_norm)
                optimiser.step()
    return history


def _window_losses(backbone, pair, sequence, targets, start, stop, variant):
    """L_t of a window's tokens: both prompts of a pair are read along one sequence."""
    unsafe, safe = pair
    if variant.context == "none":
        states = [
            _state_alone(backbone, unsafe, sequence, step, variant.encoding) for step in range(start, stop)
        ]
    else:
        length = _length(backbone, (unsafe, safe), variant)
        states = _states_with_cache(backbone, unsafe, variant.encoding, sequence, start, stop, length)
    if variant.rows == "conditional":
        states = [state[:1] for state in states]
    return [
        _loss(backbone, variant, state, targets[start + i], sequence[start + i])
        for i, state in enumerate(states)
    ]


def _kept_steps(backbone, pair, sequences, settings):
    """What the frozen model would draw next of each kept prompt, along its own sequence: T distributions."""
    texts, steps = _texts(pair, sequences), {}
    length = _length(backbone, list(texts.values()), settings.variant)
    for name in texts.keys() - {"unsafe"}:
        ids = prompt_rows(backbone, texts[name], settings.variant.encoding)[0]
        read = hidden_states(backbone, ids, sequences[name].tolist()[:-1], length - len(ids))
        steps[name] = torch.softmax(told(backbone).head(read[len(ids) - 1 :]), dim=-1)
    return steps


def _texts(pair, sequences):
    """The prompts that are read of a pair, by the name of their sequence."""
    prompts = dict(zip(("unsafe", "safe", "anchor"), pair[1:], strict=False))
    return {name: text for name, text in prompts.items() if name in sequences}


def _mixed_losses(backbone, pair, sequences, kept, start, stop, variant):
    """L_t of a window's tokens: the unsafe prompt after each beginning, and each kept prompt, one by one."""
    head, losses, texts = told(backbone).head, [0.0] * (stop - start), _texts(pair, sequences)
    length = _length(backbone, list(texts.values()), variant)
    goal = "anchor" if "anchor" in kept else "safe"
    reads = [(texts["unsafe"], goal, cut, 1 / len(sequences["cuts"])) for cut in sequences["cuts"]]
    reads += [(texts[name], name, 0, variant.retain) for name in kept]
    for prompt, name, cut, weight in reads:
        targets, tokens = kept[name], sequences["unsafe"][:cut] + sequences[name][cut:]
        states = _states_with_cache(backbone, prompt, variant.encoding, tokens, start, stop, length)
        for i, state in enumerate(states):
            if start + i >= cut:
                wanted, found = targets[start + i], torch.softmax(head(state[0]), dim=-1)
                losses[i] = losses[i] + weight * (wanted * (wanted.log() - found.log())).sum()
    return losses


def _counted(losses, on, threshold):
    """The losses of a window that are stepped on (TLM)."""
    numbers = [loss.item() for loss in losses]
    if on == "off":
        return losses
    if on == "token":
        return [loss for loss, number in zip(losses, numbers, strict=True) if number > threshold]
    measured = sum(numbers) if on == "window-sum" else sum(numbers) / len(numbers)
    return losses if measured > threshold else []


def _loss(backbone, variant, state, target, token):
    """L_t of one token, from its states (rows, …, D)."""
    if variant.objective == "mse":
        return ((state - target) ** 2).mean()
    student = torch.softmax(told(backbone).head(state[0]), dim=-1)
    if variant.objective == "ascent":
        return torch.log(student[token])
    return sum(p * (torch.log(p) - torch.log(q)) for p, q in zip(target, student, strict=True))


def _state_alone(backbone, prompt, sequence, step, encoding):
    """Release: step 0 is the prompt, all positions; a later step is the token before it, alone; both rows."""
    if step == 0:
        rows = prompt_rows(backbone, prompt, encoding)
        return torch.stack([hidden_states(backbone, ids, []) for ids in rows])
    return torch.stack([hidden_states(backbone, [], sequence[step - 1 : step])] * 2)


def _context_free_steps(backbone, pair, sequences, settings):
    _, unsafe, safe, *_ = pair
    encoding, eta = settings.variant.encoding, settings.eta
    rows = prompt_rows(backbone, unsafe, encoding)
    length, pad = len(rows[0]), backbone.processor.tokenizer.pad_token_id
    fitted = (prompt_rows(backbone, safe, encoding)[0] + [pad] * length)[:length]
    safe_rows = fitted, [fitted[0]] + [pad] * (length - 2) + [fitted[-1]]
    unsafe_first, safe_first = (
        torch.stack([hidden_states(backbone, ids, []) for ids in pair_rows])
        for pair_rows in (rows, safe_rows)
    )
    targets = [safe_first - eta * (unsafe_first - safe_first)]
    for step in range(1, len(sequences["unsafe"])):
        state = {
            name: hidden_states(backbone, [], sequence.tolist()[step - 1 : step])
            for name, sequence in sequences.items()
        }
        targets.append(torch.stack([state["safe"] - eta * (state["unsafe"] - state["safe-2"])] * 2))
    return _trained_rows(targets, settings)


def _trained_rows(targets, settings):
    return [target[:1] for target in targets] if settings.variant.rows == "conditional" else targets


def _context_steps(backbone, pair, sequences, settings):
    _, unsafe, safe, *_ = pair
    variant, eta = settings.variant, settings.eta
    sequence = {name: sequences[name].tolist() for name in sequences}
    read = [("unsafe", unsafe), ("unsafe", safe), ("unsafe", safe)]
    if variant.context == "independent":
        read = [("unsafe", unsafe), ("safe", safe), ("safe-2", safe)]
    states = []
    for name, prompt in read:
        rows, length = [], _length(backbone, (unsafe, safe), variant)
        for ids in prompt_rows(backbone, prompt, variant.encoding):
            found = hidden_states(backbone, ids, sequence[name][:-1], length - len(ids))
            rows.append(found[len(ids) - 1 :])
        states.append(torch.stack(rows))  # (2, T, D)
    if variant.objective == "kl":
        cond, uncond = told(backbone).head(states[0])  # (T, V) each
        return list(torch.softmax(uncond - eta * (cond - uncond), dim=-1))
    target = states[1] - eta * (states[0] - states[2])
    return _trained_rows([target[:, step] for step in range(target.shape[1])], settings)


def _length(backbone, pair, variant):
    """Columns of the longest prompt that is read of a pair: the image begins in the same one for all."""
    rows = [prompt_rows(backbone, text, variant.encoding) for text in pair]
    read = 2 if variant.rows == "both" or variant.objective == "kl" else 1
    return max(len(ids) for of_text in rows for ids in of_text[:read])


def _states_with_cache(backbone, prompt, encoding, sequence, start, stop, length):
    """One token at a time with a growing cache; what lies before the window is read without gradient."""
    family, states = told(backbone), []
    for ids in prompt_rows(backbone, prompt, encoding):
        cache, at, found = DynamicCache(config=family.language_model.config), length - len(ids), []
        for step in range(stop):
            columns = family.columns(sequence[step - 1], step - 1) if step else family.embed(ids)
            positions = torch.arange(at, at := at + len(columns))[None]
            with torch.set_grad_enabled(step >= start):
                out = family.language_model(
                    inputs_embeds=columns[None], position_ids=positions, past_key_values=cache, use_cache=True
                )
            if step >= start:
                found.append(out.last_hidden_state[0, -1])
        states.append(torch.stack(found))
    both = torch.stack(states)  # (2, W, D)
    return [both[:, i] for i in range(both.shape[1])]
