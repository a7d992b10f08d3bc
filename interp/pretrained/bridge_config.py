"""The configuration of a bridged model under the names of ours."""

from __future__ import annotations

from typing import Any

from interp.model.config import Head, Shape


class BridgedConfig:
    """TransformerLens's configuration, and what ours says beyond it.

    Attributes:
        n_ctx: the longest text; of models whose configuration names none, a large number.
    """

    def __init__(self, bridge: Any):
        self._bridge = bridge
        theirs = bridge.original_model.config
        self.shape: Shape = "decoder"
        if getattr(theirs, "is_encoder_decoder", False):
            self.shape = "encoder_decoder"
        elif _is_encoder(bridge):
            self.shape = "encoder"
        self.head: Head = "mlm" if self.shape == "encoder" else "lm"
        if bridge.original_model.get_output_embeddings() is None:
            self.head = "none"
        self.has_vocabulary_head = self.head != "none"
        self.embed_scale = 1.0  # the stream at `hook_embed` is read from the model, not made here
        self.default_prepend_bos = True
        for name in ("bos", "eos", "pad", "decoder_start"):
            value = getattr(theirs, f"{name}_token_id", None)
            value = value[0] if isinstance(value, list) else value
            setattr(self, f"{name}_token_id", value)

    @property
    def dtype(self) -> Any:
        """Of the weights."""
        return self._bridge.original_model.dtype

    @property
    def device(self) -> str:
        """Of the weights."""
        return str(self._bridge.original_model.device)

    @property
    def original_architecture(self) -> str:
        """Class of the transformers library."""
        return type(self._bridge.original_model).__name__

    @property
    def d_mlp(self) -> int:
        """As the library's own configuration has it; TransformerLens's guesses it for some."""
        theirs = self._bridge.original_model.config
        for name in ("intermediate_size", "ffn_dim", "encoder_ffn_dim", "d_ff", "n_inner"):
            if isinstance(getattr(theirs, name, None), int):
                return int(getattr(theirs, name))
        return int(self._bridge.cfg.d_mlp)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._bridge.cfg, name)


def _is_encoder(bridge: Any) -> bool:
    return str(getattr(bridge.cfg, "attention_dir", "causal")) == "bidirectional"
