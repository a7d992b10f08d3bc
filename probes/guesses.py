"""What a model would say in the place of each token of a text, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch

from interp.data.encoding import literal
from interp.train.tasks.task import by_length
from probes.scoring import batch_tokens, logits_of, reading


def guesses(model: Any, texts: Sequence[str]) -> pd.DataFrame:
    """The two likeliest tokens in the place of each token that is predicted; see `probes.scoring`
    for which those are.

    Returns:
        A row a token, in the order of the texts: `text` (its number), `place` (of the token in the
        text), `start` and `end` (in characters), `true_id`, `log_prob` (of it, in nats),
        `guess_id`, `confidence` (its probability) and `second_id`.

    Raises:
        InputError, ConfigError: as `probes.scoring.score` does.
    """
    rows = reading(model, texts)
    parts = []
    for chosen in by_length([len(row) for row in rows], batch_tokens(model)):
        some = [rows[i] for i in chosen]
        log_p = logits_of(model, some).log_softmax(-1)
        best = log_p.topk(2)
        true = torch.tensor([label for row in some for label in row.labels])
        right = log_p.cpu().gather(-1, true[:, None])[:, 0]
        parts.append(
            pd.DataFrame(
                {
                    "text": [row.text for row in some for _ in row.labels],
                    "place": [place for row in some for place in row.predicted],
                    "true_id": true.numpy(),
                    "log_prob": right.double().numpy(),
                    "guess_id": best.indices[:, 0].cpu().numpy(),
                    "confidence": best.values[:, 0].exp().double().cpu().numpy(),
                    "second_id": best.indices[:, 1].cpu().numpy(),
                }
            )
        )
    frame = pd.concat(parts).sort_values(["text", "place"], ignore_index=True)
    encoded = literal(model.require_tokenizer()).encode_batch(list(texts), add_special_tokens=False)
    spans = [
        encoded[text].offsets[place]
        for text, place in zip(frame["text"], frame["place"], strict=True)
    ]
    frame.insert(2, "start", [start for start, _ in spans])
    frame.insert(3, "end", [end for _, end in spans])
    return frame
