"""Models made or changed here, as models of the transformers library."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from interp.atomic import write_folder
from interp.errors import UnsupportedModelError
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.pretrained.families import FAMILIES
from interp.pretrained.family import Family, shared_config
from interp.pretrained.folder import CONFIG, METADATA
from interp.pretrained.huggingface import table, vocabulary_tensors
from interp.pretrained.tables import write as write_tensors
from interp.pretrained.text_files import TOKENIZER_FILES
from interp.pretrained.weights_file import INDEX, SHARDS, SINGLE


def to_hf(model: HookedTransformer) -> Any:
    """The same model as an object of the transformers library.

    It becomes what it was opened from; a model made here becomes the first family of `FAMILIES`
    whose configuration can express it. The tensors of that family that have no counterpart here
    (rows of positions that no text uses) are zeros.

    Raises:
        UnsupportedModelError: no family can express it.
    """
    family, config = _family_for(model.cfg)
    architecture = family.architecture(model.cfg.head)
    if model.cfg.original_architecture in family.heads:
        architecture = str(model.cfg.original_architecture)
    import transformers

    config.architectures = [architecture]
    kind = getattr(transformers, architecture)
    with torch.random.fork_rng(devices=[]):  # its own initial weights are drawn and thrown away
        theirs = kind(config, **family.options.get(architecture, {}))
    theirs.to(dtype=model.cfg.dtype)
    if not model.cfg.tie_word_embeddings:
        _untie(theirs)
    _fill(theirs, model, family)
    if model.cfg.suppress_tokens:
        theirs.generation_config.suppress_tokens = list(model.cfg.suppress_tokens)
    return theirs.to(model.cfg.device).train(model.training)


def save_hf(model: HookedTransformer, folder: Path | str) -> None:
    """Writes a folder that the transformers library opens, the tokenizer included.

    Raises:
        UnsupportedModelError: see `to_hf`.
    """
    theirs = to_hf(model)

    def write(written: Path) -> None:
        theirs.save_pretrained(str(written))
        if model.tokenizer is not None:
            model.tokenizer.save(written)

    obsolete = (*TOKENIZER_FILES, SINGLE, INDEX, SHARDS, METADATA)
    write_folder(Path(folder), write, last=CONFIG, obsolete=obsolete)


def _fill(theirs: nn.Module, model: HookedTransformer, family: Family) -> None:
    targets: dict[str, list[Tensor]] = {}  # a tensor may be there under several names
    for name, tensor in theirs.state_dict().items():
        targets.setdefault(family.canonical(name), []).append(tensor)
    written = write_tensors(model, table(family, model))
    if model.cfg.tie_word_embeddings:
        targets.pop(vocabulary_tensors(family, model.cfg)[1])
    left = {name for name in targets if name not in written and not family.is_ignored(name)}
    if left or not written.keys() <= targets.keys():
        raise UnsupportedModelError(
            f"The table of the family {family.model_type} does not fit the installed transformers "
            f"library: {sorted(left | (written.keys() - targets.keys()))}."
        )
    with torch.no_grad():
        for name, tensor in written.items():
            for target in targets[name]:
                target.copy_(tensor)


def _untie(theirs: Any) -> None:
    """Gives the output a table of its own where the family would share one."""
    output, embed = theirs.get_output_embeddings(), theirs.get_input_embeddings()
    if output is None or output.weight is not embed.weight:
        return
    output.weight = nn.Parameter(embed.weight.detach().clone())
    names = {id(p): n for n, p in theirs.named_parameters(remove_duplicate=False)}
    theirs.all_tied_weights_keys.pop(names[id(output.weight)], None)


# -- which family --------------------------------------------------------------------------------


def _family_for(cfg: TransformerConfig) -> tuple[Family, Any]:
    """The family that can express a configuration, and the configuration in its terms."""
    former = [f for f in FAMILIES if cfg.original_architecture in f.heads]
    reasons = []
    for family in [*former, *(f for f in FAMILIES if f not in former)]:
        if cfg.head not in family.heads.values():
            continue
        config, differing = _express(family, cfg)
        if not differing:
            return family, config
        reasons.append(f"{family.model_type} ({', '.join(differing)})")
    raise UnsupportedModelError(
        "No family of the transformers library that is known here can express this model; what "
        f"stands in the way of each: {'; '.join(reasons) or f'the head {cfg.head!r}'}. "
        "`interp.pretrained.save_folder` keeps it in this package's own format."
    )


def _express(family: Family, cfg: TransformerConfig) -> tuple[Any, list[str]]:
    """A configuration in a family's terms, and the fields that do not survive the way back."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.for_model(
            family.model_type, **(shared_config(cfg) | family.hf_config(cfg))
        )
        back = family.config(config, cfg.head)
    except Exception as error:  # their classes and ours refuse what they cannot hold
        return None, [str(error).splitlines()[0][:80]]
    wanted, got = _meaning(cfg), _meaning(back)
    return config, [name for name in wanted if wanted[name] != got[name]]


# Fields that change no logit; and the tie, which every family can have and can do without.
_BOOKKEEPING = (
    "bos_token_id eos_token_id pad_token_id decoder_start_token_id suppress_tokens "
    "default_prepend_bos initializer_range model_name original_architecture dtype device dropout "
    "tie_word_embeddings"
).split()
# Fields that mean nothing without another one: the other field, its values -> the fields.
_DEPENDENT: tuple[tuple[str, tuple[Any, ...], str], ...] = (
    (
        "positional_embedding_type",
        ("rotary",),
        "rotary_dim rotary_base rotary_adjacent_pairs rope_scaling",
    ),
    (
        "positional_embedding_type",
        ("relative_positional_bias",),
        "relative_attention_num_buckets relative_attention_max_distance",
    ),
    ("use_local_attn", (True,), "attn_types window_size"),
    (
        "has_vocabulary_head",
        (True,),
        "unembed_bias logit_scale output_logits_soft_cap d_vocab_out",
    ),
    ("head", ("classification",), "pooling pooler_act"),
    ("head", ("classification", "token_classification"), "n_classes"),
    ("head", ("classification", "token_classification", "span"), "classifier_bias"),
)


def _meaning(cfg: TransformerConfig) -> dict[str, Any]:
    """The fields that decide what a model computes."""
    values = {field.name: getattr(cfg, field.name) for field in dataclasses.fields(cfg)}
    for name in _BOOKKEEPING:
        del values[name]
    for decider, when, names in _DEPENDENT:
        if getattr(cfg, decider) not in when:
            for name in names.split():
                values[name] = None
    for name in ("attn_scores_soft_cap", "output_logits_soft_cap"):
        if values[name] is not None and values[name] <= 0:
            values[name] = None
    return values
