"""How far the perturbed texts lie from what the model knows."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from interp.explain.game import Game
from interp.explain.points import SOURCE
from interp.explain.scorecard.line import Line, mean_line


def gap_line(game: Game, other: Game, present: torch.Tensor) -> Line:
    """Mean distance between the target with the absent units replaced in one way and in another,
    in shares of the difference: large where the result depends on how one takes units away."""
    gap = (game.values(present) - other.values(present)).abs() / abs(game.difference)
    return mean_line("replacement gap", gap.tolist(), "lower", "between two replacements")


def perplexity_line(game: Game, present: torch.Tensor) -> Line | None:
    """Perplexity of the units that stay, relative to that in the whole text, of models that
    predict the next token: far above 1, the model is asked about texts it does not know."""
    point = game.point
    model = point.model
    if model.cfg.shape != "decoder" or not model.cfg.has_vocabulary_head:
        return None
    ids = point.parts[SOURCE][0]
    if len(ids) < 3:
        return None
    rows = torch.ones(len(present), len(point.units), dtype=torch.bool)
    rows[:, game.players] = present
    owner = torch.empty(len(ids), dtype=torch.long)
    for i, group in enumerate(point.units.groups):
        owner[list(group)] = i
    at = torch.cat([torch.ones(1, len(ids), dtype=torch.bool), rows[:, owner]])
    mixed = torch.where(at[..., None].to(ids.device), point.embedded, point.baselines[0])
    losses = []
    with torch.no_grad():
        for chunk in mixed.split(point.rows):
            logits = point.logits(chunk)
            log_p = F.log_softmax(logits[:, :-1].float(), -1)
            losses.append(-log_p.gather(-1, ids[1:].expand(len(chunk), -1)[..., None])[..., 0])
    loss = torch.cat(losses).cpu()
    counted = at[:, 1:].double()
    ratios = []
    for row, kept in zip(loss[1:], counted[1:], strict=True):
        if kept.sum():
            ratios.append(float(((row - loss[0]) * kept).sum().div(kept.sum()).exp()))
    if not ratios:
        return None
    return mean_line("perplexity ratio", ratios, "lower", "of what stays, beside the whole text")
