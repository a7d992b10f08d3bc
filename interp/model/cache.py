"""The activations of one forward, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from interp.errors import CacheError, InputError
from interp.model.decompose import Decomposition
from interp.model.hook_points import HookPoint, NamesFilter, get_act_name, select, unknown
from interp.model.replay import Replay, Stage
from interp.model.slices import SliceLike, as_index, cut

if TYPE_CHECKING:
    from interp.model.core import Transformer

Key = str | tuple[Any, ...]
Deliver = Callable[[str, Tensor], Tensor]
"""Prepares an activation of a name to be handed out: cut to positions, moved to a device."""
PosSlice = SliceLike

# Activations that the fast path does not produce; a replay opens the kernel for these alone.
_OPENED = ("hook_attn_scores", "hook_pattern")


class ActivationCache(Decomposition, Mapping[str, Tensor]):
    """Activations of one run, as a mapping from names to tensors.

    `cache["blocks.3.attn.hook_pattern"]`, `cache["pattern", 3]` and `cache["pattern", -1]` work.
    A cache of a whole run recomputes an activation when it is read (see `Replay`), and serves the
    points that fire on demand too; one of a filtered run holds what was asked for. The methods
    that split the stream into components are those of `Decomposition`.

    Attributes:
        model: the model that ran.
        has_batch_dim: False after `remove_batch_dim`.
    """

    def __init__(
        self,
        model: Transformer,
        values: dict[str, Tensor],
        replay: Replay | None = None,
        deliver: Deliver | None = None,
    ):
        """
        Args:
            values: activations at hand, as they are to be handed out.
            replay: recomputes the others.
            deliver: prepares a recomputed activation (`delivery`).
        """
        self.model = model
        self.values_by_name = values
        self.replay = replay
        self.deliver = deliver
        self.has_batch_dim = True
        self._stage: Stage | None = None
        self._stage_values: dict[str, Tensor] = {}

    # -- reading ---------------------------------------------------------------------------------

    def __getitem__(self, key: Key) -> Tensor:
        name = self._full_name(key)
        if name not in self.values_by_name and not self._can_replay(name):
            raise self._missing(name)
        return self._get(name)

    def _get(self, name: str) -> Tensor:
        value = self.values_by_name.get(name)
        if value is None:
            value = self._replayed(name)
        return value if self.has_batch_dim else value[0]

    def _replayed(self, name: str) -> Tensor:
        assert self.replay is not None
        stream = self.replay.kept(name)
        if stream is not None:
            return stream if self.deliver is None else self.deliver(name, stream)
        stage = self.replay.stage(name)
        kept = self._stage_values if stage == self._stage else {}
        if name not in kept:
            computed = self.replay.compute(stage, self._together(name, stage))
            if self.deliver is not None:
                computed = {n: self.deliver(n, value) for n, value in computed.items()}
            # One stage is kept, so that reading several activations of a block runs it once.
            kept = {**kept, **computed}
            self._stage, self._stage_values = stage, kept
        return kept[name]

    def _together(self, name: str, stage: Stage) -> list[str]:
        """The activations of a stage that cost nothing once `name` is computed."""
        assert self.replay is not None
        opened = name.endswith(_OPENED)
        return [
            other
            for other, point in self.model.hook_points.items()
            if (other == name or point.fires == "always")
            and (other == name or other.endswith(_OPENED) == opened)
            and self.replay.stage(other) == stage
        ]

    def _full_name(self, key: Key) -> str:
        if isinstance(key, str):
            return key if key in self.values_by_name else get_act_name(key)
        parts = key if isinstance(key, tuple) else ()
        name, layer, part = (*parts, None, None, None)[:3]
        known = isinstance(name, str) and isinstance(layer, int | None)
        if len(parts) > 3 or not known or not isinstance(part, str | None):
            raise InputError(
                f"{key!r} is no key of a cache; give a name, or a short name and a layer."
            )
        if layer is not None and layer < 0:
            layer += self.model.cfg.n_layers
        return get_act_name(name, layer, part)

    def _can_replay(self, name: str) -> bool:
        return self.replay is not None and name in self.model.hook_points

    def _missing(self, name: str) -> Exception:
        points: Mapping[str, HookPoint] = self.model.hook_points
        if name not in points:
            return unknown(points, name)
        error = unknown({n: points[n] for n in self.values_by_name if n in points}, name)
        error.args = (
            f"{name!r} was not kept in this cache; it holds what its names_filter asked for "
            f"({len(self.values_by_name)} names). Run the model again with that name.",
        )
        return error

    def __contains__(self, key: object) -> bool:
        """Whether the cache can serve a name; also of points that fire on demand."""
        try:
            name = self._full_name(cast(Key, key))
        except InputError:
            return False
        return name in self.values_by_name or self._can_replay(name)

    def __iter__(self) -> Iterator[str]:
        """Names of what was kept, or of every point that always fires, in firing order."""
        if self.replay is None:
            return iter(self.values_by_name)
        always = (n for n, point in self.model.hook_points.items() if point.fires == "always")
        extra = (n for n in self.values_by_name if n not in self.model.hook_points)
        return iter([*always, *extra])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        how = "replayed" if self.replay else "kept"
        return f"ActivationCache({len(self)} activations {how}, {self.nbytes / 2**20:.1f} MiB)"

    # -- keeping, moving -------------------------------------------------------------------------

    @property
    def nbytes(self) -> int:
        """Memory held by the cache, in bytes: activations, and what recomputes the others."""
        held = [*self.values_by_name.values(), *self._stage_values.values()]
        if self.replay is not None:
            held.extend(self.replay.tensors())
        storages = [tensor.untyped_storage() for tensor in held]
        return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())

    @property
    def cache_dict(self) -> ActivationCache:
        """TransformerLens's name for the mapping itself."""
        return self

    def materialize(self, names: NamesFilter = None) -> ActivationCache:
        """Computes and keeps activations, which stay readable when the weights change."""
        for name in select(self.model.hook_points, names):
            if name not in self.values_by_name:
                self.values_by_name[name] = self._replayed(name).clone()
        self._stage, self._stage_values = None, {}
        return self

    def remove_batch_dim(self) -> ActivationCache:
        """Hands activations out without the batch dimension, which must be 1.

        Raises:
            InputError: the batch has several rows.
        """
        if self.has_batch_dim:
            size = self._batch_size()
            if size != 1:
                raise InputError(
                    f"The cache is of a batch of {size}; only that of a single row can lose its "
                    "batch dimension."
                )
            self.has_batch_dim = False
        return self

    def _batch_size(self) -> int:
        if self.replay is not None:
            return next(iter(self.replay.traces.values())).streams[0].shape[0]
        return next((v.shape[0] for v in self.values_by_name.values()), 1)

    def to(self, device: torch.device | str) -> ActivationCache:
        """The same cache, handing activations out on another device."""
        values = {name: value.to(device) for name, value in self.values_by_name.items()}
        before = self.deliver

        def deliver(name: str, value: Tensor) -> Tensor:
            return (value if before is None else before(name, value)).to(device)

        cache = ActivationCache(self.model, values, self.replay, deliver)
        cache.has_batch_dim = self.has_batch_dim
        return cache

    def require_replay(self) -> Replay:
        """The kept streams of the run.

        Raises:
            CacheError: the cache was made with a filter or of an edited run.
        """
        if self.replay is None:
            raise CacheError(
                "This cache holds single activations, not a run that can be continued. Make it "
                "with `run_with_cache(tokens)`: no names_filter, no hooks."
            )
        return self.replay


def delivery(
    points: Mapping[str, HookPoint], pos_slice: PosSlice, device: torch.device | str | None
) -> Deliver | None:
    """A function that cuts an activation to some positions and moves it; None if it need not.

    The first position dimension is cut: of a pattern, the queries. It stays, with length 1, for a
    single position, as in TransformerLens's `run_with_cache`.
    """
    if pos_slice is None and device is None:
        return None
    index = as_index(pos_slice)
    kept = [index] if isinstance(index, int) else index

    def deliver(name: str, value: Tensor) -> Tensor:
        dims = points[name.removesuffix("_grad")].shape.split()
        axis = next((i for i, dim in enumerate(dims) if dim in ("pos", "query_pos")), None)
        if pos_slice is not None and axis is not None:
            value = cut(value, kept, axis).clone()
        return value if device is None else value.to(device)

    return deliver
