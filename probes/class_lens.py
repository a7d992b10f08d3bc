"""What a classifier would answer if it stopped after each layer, over a data set.

The logit lens (nostalgebraist 2020) for a head that names a class of the whole text: the stream
after each block goes through the final norm, the pooling and the classifier.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from interp.data.records import Example
from interp.explain.lens import stream_names
from interp.train.tasks.classification import Classification
from interp.train.tasks.task import batches, require_head
from probes.frames import tidy
from probes.statistics import ratio_interval

METRICS = ("kl", "agreement", "accuracy")


@torch.no_grad()
def class_lens(model: Any, examples: Sequence[Example], labels: Sequence[str]) -> pd.DataFrame:
    """How far each layer is from the answer, and from the truth; layer 0 is the embedding.

    - `kl`: divergence of the model's own answer from the layer's, nats. 0 at the last layer.
    - `agreement`: how often the layer's class is the model's.
    - `accuracy`: how often it is the right one.

    Args:
        labels: the names of the classes in the order of the outputs.

    Returns:
        A row per layer and metric, as of `probes.lens`; intervals are over texts.

    Raises:
        ConfigError: no classifier of so many classes.
        InputError: no examples, or a label that is none of the classes.
    """
    task = Classification(tuple(labels))
    require_head(model, "classification", task.name)
    names = stream_names(model)
    told = np.zeros((len(examples), len(names), len(METRICS)))
    for chosen, batch in batches(model, task.source(model, examples, tokens=1)):
        _, cache = model.run_with_cache(**batch.inputs, names_filter=names)
        mask = batch.inputs.get("attention_mask")
        said = torch.stack([model.finish(cache[name], mask) for name in names], 1)
        log_q = said.to(torch.promote_types(said.dtype, torch.float32)).log_softmax(-1)
        log_p, answer = log_q[:, -1:], log_q.argmax(-1)
        figures = [
            (log_p.exp() * (log_p - log_q)).sum(-1),
            answer == answer[:, -1:],
            answer == batch.labels[:, None],
        ]
        told[chosen] = torch.stack([x.double() for x in figures], -1).cpu().numpy()
    low, high = ratio_interval(told, np.ones_like(told))
    mean = told.mean(0)
    rows = [
        {
            "lens": "logit",
            "layer": layer,
            "metric": metric,
            "value": mean[layer, m],
            "ci_low": low[layer, m],
            "ci_high": high[layer, m],
        }
        for layer in range(len(names))
        for m, metric in enumerate(METRICS)
    ]
    return tidy(rows, n=len(examples))
