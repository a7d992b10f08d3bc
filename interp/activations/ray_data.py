"""Activations as columns of a Ray Data set: a thin adapter for clusters that already run Ray.

`torchrun` is the way to harvest over several machines (see `harvest`). Ray earns its place where
texts are made by heavy work on processors, or machines come and go.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from interp.activations.places import Places
from interp.activations.reading import TOKENS, gather
from interp.activations.texts import encode
from interp.errors import InputError
from interp.model.hook_points import NamesFilter
from interp.model.protocol import LanguageModel

Pooling = Literal["mean", "first", "last"]


class TextActivations:
    """What each worker of Ray does: opens the model once, then adds columns to batches of texts.

    Args:
        open_model: opens the model, in the worker; such as `lambda: interp.load("stories")`.
        sites: as for `Reader`.
        column: of the texts.
        pool: the mean over the tokens of a text, its first token, or its last.
    """

    def __init__(
        self,
        open_model: Callable[[], LanguageModel],
        sites: NamesFilter,
        column: str,
        pool: Pooling,
        tokens: int,
    ):
        self.model = open_model()
        self.sites, self.column, self.pool, self.tokens = sites, column, pool, tokens

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The batch with a column [row, d] in float32 for each site."""
        if self.column not in batch:
            raise InputError(f"There is no column {self.column!r}; there are {', '.join(batch)}.")
        said: Sequence[str] = [str(text) for text in batch[self.column]]
        texts = encode(self.model, said, truncate=True)
        whole = Places.whole(texts.source)
        places = {"mean": whole, "first": whole.first(), "last": whole.last()}[self.pool]
        rows = gather(self.model, texts, self.sites, places, tokens=self.tokens, device="cpu")
        return {**batch, **{site: np.asarray(x.float()) for site, x in rows.values.items()}}


def with_activations(
    dataset: Any,
    open_model: Callable[[], LanguageModel],
    sites: NamesFilter,
    *,
    column: str = "text",
    pool: Pooling = "mean",
    tokens: int = TOKENS,
    **resources: Any,
) -> Any:
    """A Ray data set with a column of activations for each site, a vector for each text.

    Texts longer than the model's context are cut.

    Args:
        dataset: a `ray.data.Dataset` with a column of texts.
        open_model, sites, column, pool: see `TextActivations`.
        **resources: of `Dataset.map_batches`: `concurrency`, `num_gpus`, `batch_size`, ...

    Raises:
        InputError: Ray is not installed, `dataset` is none of it, or there is no such pooling.
    """
    try:
        data = importlib.import_module("ray.data")
    except ImportError as error:
        raise InputError(
            "This needs Ray: pip install 'interp[ray]'. Without it, `torchrun` spreads a harvest "
            "over machines."
        ) from error
    if not isinstance(dataset, data.Dataset):
        raise InputError(f"{type(dataset).__name__} is no data set of Ray.")
    if pool not in ("mean", "first", "last"):
        raise InputError(f"pool is {pool!r}; it must be mean, first or last.")
    arguments = {
        "open_model": open_model,
        "sites": sites,
        "column": column,
        "pool": pool,
        "tokens": tokens,
    }
    return dataset.map_batches(
        TextActivations, fn_constructor_kwargs=arguments, batch_format="numpy", **resources
    )
