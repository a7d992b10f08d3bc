"""Low-rank adapters (Hu et al. 2021, arXiv 2106.09685): fine-tuning that moves few numbers.

A linear map W is trained as W + (alpha / rank) B A, with B of `rank` columns and A of as many rows,
while W stays. The adapter is a parametrisation of the weight, so whatever reads the weight reads
the sum: hook points, caches, views of the weights and rows of the fused `qkv` mean what they meant.
A model without adapters runs exactly the code that it ran before.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from interp.atomic import write_folder
from interp.data.order import stream_seed
from interp.errors import ConfigError, LoadError
from interp.model.attention import Attention
from interp.model.transformer import HookedTransformer
from interp.untrusted import MALFORMED, read_json, read_tensors, record

ADAPTER, WEIGHTS = "adapter.json", "adapter.safetensors"


@dataclass(frozen=True)
class LoRA:
    """Which linear maps get an adapter, and how large.

    Attributes:
        rank: of the change of each map.
        alpha: the change is scaled by alpha / rank.
        targets: patterns of names. Queries, keys and values have names of their own, as in
            `blocks.0.attn.q`; every other map has that of its module, as `blocks.0.mlp.up`.
        trained: patterns of parameters that are trained as they are, like a new head's.
        seed: of the first values of A.

    Raises:
        ConfigError: a value is out of range.
    """

    rank: int = 8
    alpha: float = 16.0
    targets: tuple[str, ...] = ("*attn.q", "*attn.v")
    trained: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rank < 1 or not self.targets:
            raise ConfigError(f"LoRA of rank {self.rank} on {self.targets or 'nothing'}.")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> LoRA:
        """From plain values, as JSON has them."""
        patterns = {name: tuple(values[name]) for name in ("targets", "trained")}
        return record(cls, {**values, **patterns})


class LowRank(nn.Module):
    """Adds scale * B A to some rows of a weight [out, in]; at first B is zero, so nothing."""

    def __init__(self, weight: Tensor, rows: slice, lora: LoRA, name: str):
        super().__init__()
        self.rows, self.scale = rows, lora.alpha / lora.rank
        random = torch.Generator().manual_seed(stream_seed(lora.seed, name))
        first = torch.randn(lora.rank, weight.shape[1], generator=random)
        self.A = nn.Parameter((first / math.sqrt(weight.shape[1])).to(weight))
        self.B = nn.Parameter(weight.new_zeros(rows.stop - rows.start, lora.rank))

    def forward(self, weight: Tensor) -> Tensor:
        """[out, in] -> the same shape."""
        change = self.scale * (self.B @ self.A)
        start, stop = self.rows.start, self.rows.stop
        if stop - start == len(weight):
            return weight + change
        return torch.cat([weight[:start], weight[start:stop] + change, weight[stop:]])


def add_lora(model: HookedTransformer, lora: LoRA) -> None:
    """Puts adapters on a model, and freezes everything else but `lora.trained`.

    Raises:
        ConfigError: a pattern that names nothing, or the model has adapters already.
    """
    if any(True for _ in _adapters(model)):
        raise ConfigError("The model has adapters already; take `merged(model)` first.")
    places = dict(_places(model))
    names = dict(model.named_parameters())
    for pattern in lora.targets:
        _require_match(pattern, places, "a linear map")
    for pattern in lora.trained:
        _require_match(pattern, names, "a parameter")
    for name, parameter in names.items():
        parameter.requires_grad_(_matches(name, lora.trained))
    chosen = {
        name: place
        for name, place in places.items()
        if _matches(name, lora.targets) and not place[0].weight.requires_grad
    }
    for name, (linear, rows) in chosen.items():
        adapter = LowRank(linear.weight.detach(), rows, lora, name)
        # `unsafe` spares a check that runs the parametrisation once for each adapter.
        parametrize.register_parametrization(linear, "weight", adapter, unsafe=True)


def merged(model: HookedTransformer) -> HookedTransformer:
    """The plain model that computes the same; the given one, if it has no adapters."""
    if not any(True for _ in _adapters(model)):
        return model
    plain = copy.deepcopy(model, {id(model.tokenizer): model.tokenizer})
    for linear in _parametrized(plain):
        _take_off(linear, linear.weight)
    return plain.requires_grad_(True)


# -- files ---------------------------------------------------------------------------------------


def save_adapter(model: HookedTransformer, lora: LoRA, folder: Path | str) -> None:
    """Writes what was trained, and nothing of the model that it was trained on.

    - `adapter.safetensors`: `NAME.A`, `NAME.B`, and the parameters that `lora.trained` names.
    - `adapter.json`: `lora`, and the hash of the weights that stayed as they were.
    """
    from safetensors.torch import save_file

    tensors = {name: p.detach().cpu().contiguous() for name, p in _trained(model, lora).items()}
    about = {"lora": dataclasses.asdict(lora), "base": _base_hash(model, lora)}

    def write(written: Path) -> None:
        save_file(tensors, written / WEIGHTS)
        (written / ADAPTER).write_text(json.dumps(about, indent=2) + "\n", "utf-8")

    write_folder(Path(folder), write, last=ADAPTER, obsolete=(WEIGHTS,))


def load_adapter(model: HookedTransformer, folder: Path | str) -> LoRA:
    """Puts saved adapters on the model that they were trained on.

    Raises:
        LoadError: the folder is incomplete or damaged, or belongs to another model.
        ConfigError: the model has adapters already.
    """
    folder = Path(folder)
    try:
        about = read_json(folder / ADAPTER)
        lora = LoRA.from_dict(about["lora"])
        base = about["base"]
        tensors, _ = read_tensors(folder / WEIGHTS)
    except MALFORMED as error:
        raise LoadError(f"{folder} holds no adapter that can be read: {error}") from error
    if _base_hash(model, lora) != base:
        raise LoadError(
            f"The adapter in {folder} was trained on other weights than this model's; open the "
            "model that it was made from (with the head of the task, if that was a new one)."
        )
    others = LoadError(f"The tensors in {folder} are not those of its {ADAPTER}; copy it again.")
    if {len(A) for name, A in tensors.items() if name.endswith(".A")} != {lora.rank}:
        raise others  # before a forged rank is given memory
    flags = {name: p.requires_grad for name, p in model.named_parameters()}
    add_lora(model, lora)
    trained = _trained(model, lora)
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if found != {name: p.shape for name, p in trained.items()}:
        _remove(model, flags)
        raise others
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.copy_(tensors[name])
    return lora


def _remove(model: HookedTransformer, flags: dict[str, bool]) -> None:
    """Leaves the model as it was before `add_lora`."""
    for linear in _parametrized(model):
        _take_off(linear, linear.parametrizations.weight.original)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(flags[name])


def _parametrized(model: HookedTransformer) -> list[Any]:
    return [m for m in model.modules() if parametrize.is_parametrized(m, "weight")]


def _take_off(linear: Any, weight: Tensor) -> None:
    """Makes a plain linear map again, with this weight.

    Not by `parametrize.remove_parametrizations`: that changes the class, which copies share.
    """
    kept = weight.detach()
    del linear.parametrizations
    linear.__class__ = type(linear).__bases__[0]
    linear.weight = nn.Parameter(kept)


# -- names ---------------------------------------------------------------------------------------


def _places(model: HookedTransformer) -> Iterator[tuple[str, tuple[nn.Linear, slice]]]:
    """Every linear map that can have an adapter: its name, its module, and its rows there.

    A tied unembedding is none: its weight is the table of embeddings.
    """
    for name, module in model.named_modules():
        if isinstance(module, Attention):
            heads = {"q": module.n_heads, "k": module.n_kv, "v": module.n_kv}
            start = 0
            for part, n in heads.items():
                stop = start + n * module.d_head
                yield f"{name}.{part}", (module.qkv, slice(start, stop))
                start = stop
        elif (
            isinstance(module, nn.Linear)
            and not name.endswith("attn.qkv")
            and module.weight is not model.embed.weight
        ):
            yield name, (module, slice(0, module.out_features))


def _adapters(model: HookedTransformer) -> Iterator[tuple[str, LowRank]]:
    """The adapters by the name of what they change."""
    for name, (linear, rows) in _places(model):
        if parametrize.is_parametrized(linear, "weight"):
            for adapter in linear.parametrizations.weight:  # type: ignore[union-attr]
                if isinstance(adapter, LowRank) and adapter.rows == rows:
                    yield name, adapter


def _trained(model: HookedTransformer, lora: LoRA) -> dict[str, nn.Parameter]:
    out: dict[str, nn.Parameter] = {}
    for name, adapter in _adapters(model):
        out |= {f"{name}.A": adapter.A, f"{name}.B": adapter.B}
    for name, parameter in model.named_parameters():
        if _matches(name, lora.trained):
            out[name] = parameter
    return out


def _base_hash(model: HookedTransformer, lora: LoRA) -> str:
    """SHA-256 over the weights that stay, whether adapters are on them or not."""
    own = {id(parameter) for parameter in _trained(model, lora).values()}
    digest = hashlib.sha256()
    kept: list[tuple[str, Tensor]] = [
        (name.replace("parametrizations.weight.original", "weight"), parameter.detach())
        for name, parameter in model.named_parameters()
        if id(parameter) not in own
    ]
    for name, tensor in sorted(kept, key=lambda pair: pair[0]):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.cpu().contiguous().reshape(-1)
        if flat.numel():
            digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _require_match(pattern: str, names: dict[str, Any], what: str) -> None:
    if not any(fnmatchcase(name, pattern) for name in names):
        some = ", ".join(list(names)[:8])
        raise ConfigError(f"{pattern!r} is the name of {what} in no place; there are {some}, ...")
