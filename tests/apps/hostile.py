"""Models whose names, tokens, classes and dictionaries were made to break the pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from interp.model.config import TransformerConfig
from interp.model.fingerprint import weights_hash
from interp.model.transformer import HookedTransformer
from interp.pretrained.folder import save_folder
from interp.tokenizer import Tokenizer
from probes import dictionary

VOCABULARY = [  # what somebody would put into a model to break the page that shows it
    *("?", "<img/src=x/onerror=alert(1)>", "![](http://x.test/y)", "</script>", "**bold**"),
    *("[a](http://b.test)", "\u202eabc", "\u200b", "\x1b[31m", "👩\u200d👧", "$x$", "`c`"),
    *(":material/error:", "|", "<s onload='x'>", "\n", "{{7*7}}", "${x}", "a" * 300),
]


def save(folder: Path, *, tokenizer: bool = True, seed: int = 0, **changes: Any) -> Path:
    """A tiny random model in a folder; by default a decoder."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import models, pre_tokenizers

    words = None
    if tokenizer:
        numbers = {word: i for i, word in enumerate(VOCABULARY)}
        backend = Backend(models.WordLevel(numbers, unk_token="?"))
        backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        words = Tokenizer(backend, {"unk": "?", "mask": "|"})
    cfg = TransformerConfig(16, 2, 2, len(VOCABULARY), 32, default_prepend_bos=False)
    save_folder(HookedTransformer(cfg.replace(**changes), words, seed=seed).eval(), folder)
    return folder


def save_dictionary(model: Path, name: str, **changes: Any) -> Path:
    """A random dictionary beside a model."""
    import interp

    opened = interp.load(model)
    draw = torch.Generator().manual_seed(0)
    shapes = {"W_enc": (16, 6), "b_enc": (6,), "W_dec": (6, 16), "b_dec": (16,)}
    fields: dict[str, Any] = {
        name: torch.randn(size, generator=draw) for name, size in shapes.items()
    }
    site = "blocks.0.hook_resid_post"
    about = {"model_hash": weights_hash(opened)[:16]}
    coder = dictionary.Coder(**{**fields, "site": site, "target": site, "k": 2, "about": about})
    folder = model / "features" / name
    dictionary.save(coder, folder)
    return folder


def models(folder: Path) -> dict[str, Path]:
    """A model of each kind that the pages tell apart, some of them hostile."""
    found = {
        "decoder": save(folder / "![](http:x) <b>hostile"),
        "numbers": save(folder / "numbers", tokenizer=False),
        "classifier": save(
            folder / "classifier",
            shape="encoder",
            head="classification",
            n_classes=3,
            class_names=tuple(VOCABULARY[1:4]),
        ),
        "masked": save(folder / "masked", shape="encoder", head="mlm"),
        "pair": save(folder / "pair", shape="encoder_decoder"),
        "attention only": save(folder / "attention-only", attn_only=True),
        "run": folder / "run",
    }
    for seed, step in enumerate((0, 10, 20)):
        save(folder / "run" / "checkpoints" / f"step-{step:08d}", seed=seed)
    save_dictionary(found["decoder"], "**one** ![](http://x)")
    return found
