"""What a family of checkpoints says about itself, and how its table is put to use."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from interp.errors import UnsupportedModelError
from interp.model.config import Activation, Head, TransformerConfig
from interp.pretrained.tables import Entry, Shape, Source

BRIDGE = "Open it through TransformerLens's bridge: `interp.load(what, bridge=True)`."


@dataclass(frozen=True)
class Family:
    """One `model_type` of the transformers library. Dropout, which only training uses, is one
    number here and several there: the one on the residual stream counts.

    Attributes:
        model_type: its name in a `config.json`.
        heads: their class -> our head. The first class of a head is the one written back.
        prefixes: in front of the tensors of the bare model, in a checkpoint that has a head too.
            The table leaves them out.
        config: their configuration and our head -> our configuration.
        table: our configuration -> the table of names.
        hf_config: our configuration -> keyword arguments of theirs, beyond those that all families
            share (`shared_config`).
        aliases: other names of tensors -> the name in the table.
        ignored: pattern of tensors that say nothing: fixed tables, heads that are not asked for.
        options: keyword arguments of the constructor, by their class.
        pooler_act: activation of the dense layer before an encoder's classifier.
    """

    model_type: str
    heads: Mapping[str, Head]
    prefixes: tuple[str, ...]
    config: Callable[[Any, Head], TransformerConfig]
    table: Callable[[TransformerConfig], list[Entry]]
    hf_config: Callable[[TransformerConfig], dict[str, Any]]
    aliases: Mapping[str, str] = field(default_factory=dict)
    ignored: str = r"(?!)"  # nothing
    options: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    pooler_act: Activation = "tanh"

    def canonical(self, name: str) -> str:
        """The name of a tensor as the table has it."""
        prefix = next((prefix for prefix in self.prefixes if name.startswith(prefix)), "")
        name = name.removeprefix(prefix)
        # BERT's first checkpoints keep TensorFlow's names of gain and shift.
        name = re.sub(r"(?<=LayerNorm\.)gamma$", "weight", name)
        name = re.sub(r"(?<=LayerNorm\.)beta$", "bias", name)
        return self.aliases.get(name, name)

    def is_ignored(self, name: str) -> bool:
        return re.fullmatch(self.ignored, name) is not None

    def architecture(self, head: Head) -> str:
        """Their class for a head of ours.

        Raises:
            UnsupportedModelError: they have none.
        """
        for architecture, ours in self.heads.items():
            if ours == head:
                return architecture
        raise UnsupportedModelError(f"The family {self.model_type} has no head {head!r}.")


class Renamed:
    """A source under the names of a family's table."""

    def __init__(self, source: Source, family: Family):
        self.source = source
        self.actual: dict[str, str] = {}
        for name in sorted(source.names()):
            canonical = family.canonical(name)
            # A tensor and its copy under another name: the one that needed no alias counts.
            if canonical not in self.actual or name.endswith(canonical):
                self.actual[canonical] = name

    def names(self) -> Iterable[str]:
        return self.actual

    def shape(self, name: str) -> Shape:
        return self.source.shape(self.actual[name])

    def dtype(self, name: str) -> torch.dtype:
        return self.source.dtype(self.actual[name])

    def read(self, name: str) -> Tensor:
        return self.source.read(self.actual[name])

    def read_into(self, name: str, out: Tensor) -> None:
        self.source.read_into(self.actual[name], out)


def require(condition: bool, what: str) -> None:
    """Refuses a variant that a table does not cover.

    Raises:
        UnsupportedModelError: with the way round.
    """
    if not condition:
        raise UnsupportedModelError(f"{what}, which the tables here do not cover. {BRIDGE}")


_ACTIVATIONS: dict[str, Activation] = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_new",
    "gelu_fast": "gelu_new",
    "gelu_pytorch_tanh": "gelu_new",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}


def activation(name: Any) -> Activation:
    """Our name of an activation function."""
    require(name in _ACTIVATIONS, f"The model uses the activation function {name!r}")
    return _ACTIVATIONS[name]


def shared(hf: Any, head: Head) -> dict[str, Any]:
    """The fields that all configurations of the transformers library have."""
    classes = head in ("classification", "token_classification")
    words = head in ("lm", "mlm")
    return {
        "d_vocab": hf.vocab_size,
        "head": head,
        "n_classes": hf.num_labels if classes else 0,
        "class_names": _class_names(hf) if classes else (),
        "tie_word_embeddings": words and bool(getattr(hf, "tie_word_embeddings", True)),
        "initializer_range": float(getattr(hf, "initializer_range", 0.02)),
        "model_name": getattr(hf, "name_or_path", "") or hf.model_type,
        "dtype": hf.dtype if isinstance(hf.dtype, torch.dtype) else torch.float32,
        **{name: _first(getattr(hf, name, None)) for name in _TOKENS},
    }


def shared_config(cfg: TransformerConfig) -> dict[str, Any]:
    """The inverse of `shared`."""
    out: dict[str, Any] = {
        "vocab_size": cfg.d_vocab,
        "tie_word_embeddings": cfg.tie_word_embeddings,
        "dtype": cfg.dtype,
    }
    if cfg.n_classes:
        out["num_labels"] = cfg.n_classes
    if cfg.class_names:
        out["id2label"] = dict(enumerate(cfg.class_names))
        out["label2id"] = {name: i for i, name in enumerate(cfg.class_names)}
    return out | {name: getattr(cfg, name) for name in _TOKENS}


def _class_names(hf: Any) -> tuple[str, ...]:
    """The names of the classes, unless the library made them up (LABEL_0, ...) or two are one."""
    named = getattr(hf, "id2label", None) or {}
    names = tuple(str(named.get(i, f"LABEL_{i}")) for i in range(hf.num_labels))
    made_up = all(name == f"LABEL_{i}" for i, name in enumerate(names))
    return () if made_up or len(set(names)) < len(names) else names


_TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")


def _first(value: Any) -> int | None:
    """Some models name several end tokens; the first is the one of plain text."""
    if isinstance(value, list):
        return int(value[0]) if value else None
    return value  # type: ignore[no-any-return]
