"""Dictionaries in files, in the layouts of SAELens and of sparsify, so that others can open them.

SAELens: `cfg.json` and `sae_weights.safetensors` with W_enc [d_in, latents], b_enc, W_dec
[latents, d_out], b_dec and, of a JumpReLU, threshold. It is also what is written here by default.
sparsify: `cfg.json` and `sae.safetensors` with encoder.weight [latents, d_in], encoder.bias, W_dec
and b_dec; TopK only.

What such a file says beyond the form of `Coder` is folded into its weights when it is read: inputs
from which b_dec is taken first, values scaled by the decoder's norms, gates. A file that says what
cannot be folded (activations normalised one by one, a skip connection) is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from interp import __version__
from interp.atomic import write_folder
from interp.errors import ConfigError, LoadError, UnsupportedModelError
from interp.pretrained.weights_file import WeightFiles, read_header, refuse_pickle
from interp.untrusted import read_json
from probes.dictionary.coder import Coder

CONFIG = "cfg.json"
SAELENS, SPARSIFY = "sae_weights.safetensors", "sae.safetensors"

# Architectures of SAELens, and whether they have what decides of its own: k, threshold, gates.
_ARCHITECTURES = {
    "standard": "relu",
    "transcoder": "relu",
    "jumprelu": "threshold",
    "jumprelu_transcoder": "threshold",
    "gated": "gates",
    "topk": "k",
    "topk_transcoder": "k",
}


def save(coder: Coder, folder: Path | str) -> None:
    """Writes a dictionary in the layout of SAELens; a folder with `cfg.json` is complete.

    A TopK transcoder is written alike, under an architecture that SAELens does not have.
    """
    tensors = {name: getattr(coder, name) for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
    kind = "topk" if coder.threshold is None else "jumprelu"
    if coder.threshold is not None:
        tensors["threshold"] = coder.threshold
    config = {
        "architecture": f"{kind}_transcoder" if coder.is_transcoder else kind,
        "d_in": coder.d_in,
        "d_sae": coder.latents,
        "d_out": coder.d_out,
        **({} if coder.k is None else {"k": coder.k, "rescale_acts_by_decoder_norm": False}),
        "dtype": str(coder.W_enc.dtype).removeprefix("torch."),
        "device": "cpu",
        "apply_b_dec_to_input": False,
        "normalize_activations": "none",
        "reshape_activations": "hook_z" if coder.site.endswith("hook_z") else "none",
        "metadata": {
            "hook_name": coder.site,
            "hook_name_out": coder.target,
            "interp_version": __version__,
            "about": dict(coder.about),
        },
    }
    _write(Path(folder), config, SAELENS, tensors)


def save_sparsify(coder: Coder, folder: Path | str) -> None:
    """Writes a dictionary in the layout of sparsify.

    Raises:
        UnsupportedModelError: it has thresholds, or writes another width than it reads.
    """
    if coder.k is None or coder.d_in != coder.d_out:
        raise UnsupportedModelError(
            "The layout of sparsify holds TopK dictionaries that write as many coordinates as they "
            "read; save this one with `save`, in the layout of SAELens."
        )
    # sparsify takes b_dec from the input of an autoencoder first.
    b_enc = coder.b_enc
    if not coder.is_transcoder:
        b_enc = b_enc + coder.b_dec @ coder.W_enc
    config = {
        "activation": "topk",
        "d_in": coder.d_in,
        "expansion_factor": coder.latents // coder.d_in,
        "num_latents": coder.latents,
        "k": coder.k,
        "normalize_decoder": True,
        "multi_topk": False,
        "skip_connection": False,
        "transcode": coder.is_transcoder,
        "hookpoint": coder.site,
        "hookpoint_out": coder.target,
    }
    tensors = {
        "encoder.weight": coder.W_enc.t(),
        "encoder.bias": b_enc,
        "W_dec": coder.W_dec,
        "b_dec": coder.b_dec,
    }
    _write(Path(folder), config, SPARSIFY, tensors)


def load(folder: Path | str, *, site: str | None = None, target: str | None = None) -> Coder:
    """Reads a dictionary from either layout.

    Args:
        site, target: hook points, where the folder does not name them or names them otherwise.

    Raises:
        LoadError: no dictionary, a damaged one, or one without a site.
        UnsupportedModelError: one that has no equal in the form of `Coder`.
    """
    folder = Path(folder)
    config = _read_config(folder / CONFIG)
    layout = SAELENS if (folder / SAELENS).is_file() else SPARSIFY
    if not (folder / layout).is_file():
        for file in sorted(folder.iterdir()):
            refuse_pickle(file)
        raise LoadError(f"{folder} has neither {SAELENS} nor {SPARSIFY}; it is no dictionary.")
    files = WeightFiles(read_header(folder / layout))
    tensors = {name: files.read(name) for name in files.names()}
    wrong = [name for name, value in tensors.items() if not value.is_floating_point()]
    if wrong:
        raise LoadError(f"{wrong[0]!r} in {folder / layout} is not of numbers with a fraction.")
    try:
        reading = _from_saelens if layout == SAELENS else _from_sparsify
        fields = reading(config, tensors)
        said, written = fields.pop("site"), fields.pop("target")
        site = site or said
        target = target or written or site
        if not isinstance(site, str) or not isinstance(target, str):
            raise LoadError(
                f"{folder / CONFIG} does not say which activations it is for; pass `site`."
            )
        return Coder(**fields, site=site, target=target)
    except UnsupportedModelError:
        raise
    except KeyError as error:
        raise LoadError(f"{folder} lacks {error.args[0]!r}, which this layout has.") from error
    except (ConfigError, TypeError, ValueError, RuntimeError) as error:
        raise LoadError(f"{folder} is no sound dictionary: {error}") from error


def _from_saelens(config: dict[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    architecture = config.get("architecture", "standard")
    if architecture not in _ARCHITECTURES:
        raise UnsupportedModelError(
            f"A dictionary of the architecture {_short(architecture)} is not known here; known are "
            f"{', '.join(_ARCHITECTURES)}."
        )
    _refuse(config, "normalize_activations", ("none", None))
    _refuse(config, "reshape_activations", ("none", "hook_z", None))
    _refuse(config, "activation_fn", ("relu", "topk", None))
    decides = _ARCHITECTURES[architecture]
    W_enc, W_dec = tensors["W_enc"], tensors["W_dec"]
    _check_vectors(tensors, W_enc.shape[-1])
    k = threshold = None
    if decides == "gates":
        scale = tensors["r_mag"].exp()
        W_enc, b_enc = W_enc * scale, tensors["b_mag"]
        threshold = (b_enc - scale * tensors["b_gate"]).clamp(min=0)
    else:
        b_enc = tensors["b_enc"]
    if decides == "relu":
        threshold = torch.zeros_like(b_enc)
    elif decides == "threshold":
        threshold = tensors["threshold"].clamp(min=0)  # values are never negative
    elif decides == "k":
        k = _whole(config, "k")
        if config.get("rescale_acts_by_decoder_norm"):
            norms = W_dec.norm(dim=1)
            W_enc, b_enc, W_dec = W_enc * norms, b_enc * norms, W_dec / norms[:, None]
    # Of old files, the flag is missing and means True.
    if config.get("apply_b_dec_to_input", "transcoder" not in architecture):
        b_enc = b_enc - tensors["b_dec"] @ W_enc
    for name, length in (("d_in", W_enc.shape[0]), ("d_sae", W_enc.shape[1])):
        if config.get(name, length) != length:
            raise LoadError(f"{CONFIG} says that {name} is {_short(config[name])}, not {length}.")
    metadata = config.get("metadata")
    said = {**config, **(metadata if isinstance(metadata, dict) else {})}
    about = said.get("about")
    return {
        **{"W_enc": W_enc, "b_enc": b_enc, "W_dec": W_dec, "b_dec": tensors["b_dec"]},
        **{"k": k, "threshold": threshold, "site": said.get("hook_name")},
        "target": said.get("hook_name_out"),
        "about": about if isinstance(about, dict) else {},
    }


def _from_sparsify(config: dict[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    _refuse(config, "activation", ("topk", None))
    _refuse(config, "skip_connection", (False, None))
    W_enc, b_enc = tensors["encoder.weight"].t(), tensors["encoder.bias"]
    _check_vectors(tensors, W_enc.shape[-1])
    if not config.get("transcode"):
        b_enc = b_enc - tensors["b_dec"] @ W_enc
    if config.get("d_in", len(W_enc)) != len(W_enc):
        raise LoadError(f"{CONFIG} says that d_in is {_short(config['d_in'])}, not {len(W_enc)}.")
    return {
        **{"W_enc": W_enc.contiguous(), "b_enc": b_enc},
        **{"W_dec": tensors["W_dec"], "b_dec": tensors["b_dec"]},
        **{"k": _whole(config, "k"), "site": config.get("hookpoint")},
        "target": config.get("hookpoint_out"),
    }


def _check_vectors(tensors: Mapping[str, Tensor], latents: int) -> None:
    """That what belongs to latents has a value for each, and is not spread over them silently."""
    for name in ("b_enc", "encoder.bias", "threshold", "b_gate", "b_mag", "r_mag"):
        if name in tensors and tuple(tensors[name].shape) != (latents,):
            raise LoadError(
                f"{name} has shape {list(tensors[name].shape)}; there are {latents} latents."
            )


def _refuse(config: dict[str, Any], name: str, known: tuple[Any, ...]) -> None:
    if config.get(name) not in known:
        raise UnsupportedModelError(
            f"This dictionary has {name} = {_short(config[name])}, which cannot be folded into its "
            "weights."
        )


def _whole(config: dict[str, Any], name: str) -> int:
    arguments = config.get("activation_fn_kwargs")  # where old files have it
    value = config.get(name, arguments.get(name) if isinstance(arguments, dict) else None)
    if not isinstance(value, int) or isinstance(value, bool):
        raise LoadError(f"{CONFIG} says that {name} is {_short(value)}; it must be a whole number.")
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise LoadError(f"There is no dictionary in {path.parent}: no {path.name}.")
    return read_json(path)


def _write(folder: Path, config: dict[str, Any], name: str, tensors: Mapping[str, Tensor]) -> None:
    from safetensors.torch import save_file

    def fill(into: Path) -> None:
        save_file({key: t.detach().cpu().contiguous() for key, t in tensors.items()}, into / name)
        (into / CONFIG).write_text(json.dumps(config, indent=1) + "\n", "utf-8")

    write_folder(folder, fill, last=CONFIG, obsolete=(SAELENS, SPARSIFY))
