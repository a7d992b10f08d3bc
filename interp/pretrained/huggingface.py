"""Models of the transformers library, from a folder or from memory, through the tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from interp.errors import ConfigError, InputError, InterpError, LoadError, UnsupportedModelError
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.pretrained.build import build
from interp.pretrained.families import family_of
from interp.pretrained.family import Family, Renamed
from interp.pretrained.folder import CONFIG
from interp.pretrained.tables import Entry, InMemory, Source, expand, parameters
from interp.pretrained.weights_file import WeightFiles
from interp.tokenizer import Tokenizer
from interp.untrusted import MALFORMED, fits, read_json, shown


def open_folder(
    folder: Path,
    *,
    tokenizer: Tokenizer | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    n_ctx: int | None = None,
) -> HookedTransformer:
    """The model in a folder of the transformers library.

    Raises:
        UnsupportedModelError: its family or variant has no table.
        LoadError: the folder is damaged, or its weights are pickled.
    """
    config = read_config(folder)
    architecture = (config.architectures or [""])[0]
    try:
        family, cfg = translate(config, architecture)
    except InterpError:
        raise
    except MALFORMED as error:
        raise LoadError(f"{folder / CONFIG} contradicts itself: {error}.") from error
    files = WeightFiles.open(folder)
    return _open(
        family,
        cfg,
        files,
        str(folder),
        tokenizer=tokenizer,
        dtype=dtype or (None if config.dtype is None else cfg.dtype),
        device=device,
        n_ctx=n_ctx,
    )


def open_model(
    model: Any,
    *,
    tokenizer: Tokenizer | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    n_ctx: int | None = None,
) -> HookedTransformer:
    """A copy of a model object of the transformers library."""
    architecture = type(model).__name__
    family, cfg = translate(model.config, architecture)
    return _open(
        family,
        cfg,
        InMemory(model.state_dict()),
        f"the given {architecture}",
        tokenizer=tokenizer,
        dtype=dtype,
        device=device or model.device,
        n_ctx=n_ctx,
    )


def read_config(folder: Path) -> Any:
    """The configuration of a folder, completed by the defaults of its family.

    Raises:
        LoadError: there is none or it is broken. UnsupportedModelError: its type is unknown.
    """
    values = read_json(folder / CONFIG)
    from transformers import AutoConfig
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if not fits(values.get("architectures"), list[str] | None):
        raise LoadError(f"{folder / CONFIG} names no architectures, but {shown(values)}.")
    model_type = str(values.get("model_type"))
    if model_type not in CONFIG_MAPPING:
        raise UnsupportedModelError(
            f"{folder / CONFIG} describes a model of the type {model_type!r}, which neither this "
            "package nor the installed transformers library knows."
        )
    try:
        return AutoConfig.from_pretrained(str(folder))
    except Exception as error:  # each configuration class checks its fields in its own way
        raise LoadError(f"{folder / CONFIG} cannot be read: {error}") from error


def translate(config: Any, architecture: str) -> tuple[Family, TransformerConfig]:
    """The family and our configuration of a model.

    Raises:
        UnsupportedModelError: there is no table for it.
    """
    family = family_of(config.model_type, architecture)
    try:
        cfg = family.config(config, family.heads[architecture])
    except ConfigError as error:
        raise LoadError(
            f"The configuration of this {architecture} contradicts itself: {error}"
        ) from error
    return family, cfg.replace(original_architecture=architecture)


def table(family: Family, model: HookedTransformer) -> list[Entry]:
    """The table of a family for one model: a line for every layer, and none for what this
    configuration leaves out."""
    ours = parameters(model)
    entries = family.table(model.cfg)
    n_layers = max(model.cfg.n_layers, model.cfg.n_decoder_layers)
    return [entry for entry in expand(entries, n_layers) if entry.ours in ours]


def _open(
    family: Family,
    cfg: TransformerConfig,
    source: Source,
    where: str,
    *,
    tokenizer: Tokenizer | None,
    dtype: torch.dtype | None,
    device: torch.device | str | None,
    n_ctx: int | None,
) -> HookedTransformer:
    names = Renamed(source, family)
    embed, unembed = vocabulary_tensors(family, cfg)
    cfg, names = _settle_tie(cfg, names, embed, unembed)
    if dtype is None:
        dtype = names.dtype(embed) if embed in names.actual else cfg.dtype
    cfg = cfg.replace(dtype=dtype)
    if n_ctx is not None:
        cfg = _with_context(cfg, n_ctx)
    tied = {unembed} if cfg.tie_word_embeddings else set()
    return build(
        cfg,
        lambda model: table(family, model),
        names,
        where,
        tokenizer=tokenizer,
        device=device,
        ignore=lambda name: name in tied or family.is_ignored(name),
    )


def vocabulary_tensors(family: Family, cfg: TransformerConfig) -> tuple[str, str]:
    """Names of the input's and the output's table of the vocabulary, which may be one."""
    theirs = {entry.ours: entry.theirs for entry in family.table(cfg)}
    return theirs["embed.weight"], theirs.get("output.unembed.weight", "")


def _settle_tie(
    cfg: TransformerConfig, names: Renamed, embed: str, unembed: str
) -> tuple[TransformerConfig, Renamed]:
    """Whether input and output share their table is decided by the weights, as the transformers
    library does: many configurations are silent or wrong about it."""
    if not cfg.tie_word_embeddings or unembed not in names.actual:
        return cfg, names
    if embed not in names.actual:  # the one table may have been kept under the other's name
        names.actual[embed] = names.actual.pop(unembed)
        return cfg, names
    alike = names.shape(embed) == names.shape(unembed)
    if alike and torch.equal(names.read(embed), names.read(unembed)):
        return cfg, names
    return cfg.replace(tie_word_embeddings=False), names


def _with_context(cfg: TransformerConfig, n_ctx: int) -> TransformerConfig:
    if cfg.positional_embedding_type == "standard" and n_ctx != cfg.n_ctx:
        raise InputError(
            f"n_ctx is {n_ctx}, but this model has learned a table of {cfg.n_ctx} positions; only "
            "computed positions can be had for another length."
        )
    return cfg.replace(n_ctx=n_ctx)
