"""The configuration of a model: every architectural variant is data here, never a name in an `if`.

Field names follow TransformerLens where it has one (`d_model`, `n_key_value_heads`, `act_fn`,
`normalization_type`, `positional_embedding_type`, `attn_scale`, ...).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch

from interp.errors import ConfigError
from interp.untrusted import record

Shape = Literal["decoder", "encoder", "encoder_decoder"]
Positions = Literal["standard", "sinusoidal", "rotary", "relative_positional_bias", "alibi", "none"]
Normalization = Literal["LN", "RMS"]
Activation = Literal["relu", "gelu", "gelu_new", "silu", "tanh"]
Head = Literal["lm", "mlm", "classification", "token_classification", "span", "none"]
Pooling = Literal["first", "last", "mean"]
AttentionType = Literal["global", "local"]


@dataclass(frozen=True)
class RopeScaling:
    """How rotary frequencies are stretched beyond the length the model was first trained on.

    - `linear`: every position is divided by `factor` (Chen et al. 2023, arXiv 2306.15595).
    - `llama3`: long wavelengths are divided by `factor`, short ones kept, with a smooth ramp
      between `low_freq_factor` and `high_freq_factor` (Llama 3.1 release notes).
    - `yarn`: the ramp is placed by `beta_fast` and `beta_slow` rotations, and queries and keys
      are rescaled by `attention_factor` (Peng et al. 2023, arXiv 2309.00071).
    """

    kind: Literal["linear", "llama3", "yarn"]
    factor: float
    original_n_ctx: int = 0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("linear", "llama3", "yarn"):
            raise ConfigError(
                f"Unknown rope scaling kind {self.kind!r}; known are linear, llama3 and yarn."
            )
        if self.factor < 1:
            raise ConfigError(f"rope scaling factor is {self.factor}; it must be at least 1.")
        if self.kind != "linear" and self.original_n_ctx < 1:
            raise ConfigError(f"{self.kind} rope scaling needs original_n_ctx, the trained length.")
        if self.kind == "llama3" and self.high_freq_factor <= self.low_freq_factor:
            raise ConfigError(
                f"high_freq_factor {self.high_freq_factor} must exceed low_freq_factor "
                f"{self.low_freq_factor}: the ramp lies between the two."
            )


@dataclass(frozen=True)
class TransformerConfig:
    """Shape and variants of a Transformer. Frozen; checks itself; `replace` makes a changed copy.

    Only the first five fields are needed: the defaults are a GPT-2-like decoder.

    Raises:
        ConfigError: a value is out of range, or two fields contradict each other.
    """

    d_model: int
    n_layers: int
    n_heads: int
    d_vocab: int
    n_ctx: int
    shape: Shape = "decoder"

    # widths; -1 means "derive it"
    d_head: int = -1
    """Width of a head; derived as d_model // n_heads."""
    d_mlp: int = -1
    """Width of the feed-forward layer; derived as 4 * d_model."""
    d_vocab_out: int = -1
    """Number of logits of the language-modelling head; derived as d_vocab."""
    n_key_value_heads: int = -1
    """Fewer key/value heads than query heads: grouped-query attention; derived as n_heads."""
    n_decoder_layers: int = -1
    """Decoder blocks of an encoder-decoder; derived as n_layers (which counts the encoder's)."""

    # embeddings and positions
    positional_embedding_type: Positions = "standard"
    """`standard` is a learned table."""
    n_segments: int = 0
    """Size of the segment ("token type") table; 0 for none."""
    embed_norm: bool = False
    """Normalise the sum of the embeddings (BERT)."""
    embed_scale: float = 1.0
    """Factor on the token embedding (sqrt(d_model) in the original Transformer)."""
    rotary_dim: int = -1
    """Leading part of a head that is rotated; derived as d_head."""
    rotary_base: float = 10000.0
    rotary_adjacent_pairs: bool = False
    """Rotate neighbouring coordinates (GPT-J) instead of the two halves (NeoX, Llama)."""
    rope_scaling: RopeScaling | None = None
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128

    # attention
    attn_scale: float = -1.0
    """Scores are divided by it; derived as sqrt(d_head). T5 uses 1."""
    attn_scores_soft_cap: float = -1.0
    """c in c * tanh(scores / c); not positive for none."""
    use_qk_norm: bool = False
    """RMS-normalise each query and key head before the rotation (Qwen3)."""
    attn_types: tuple[AttentionType, ...] = ()
    """One of `global`, `local` a layer; empty means all global."""
    window_size: int = -1
    """A local layer sees this many latest positions, its own included."""
    qkv_bias: bool = True
    attn_out_bias: bool = True

    # block
    normalization_type: Normalization = "LN"
    norm_bias: bool = True
    """LayerNorm's shift; RMSNorm never has one."""
    eps: float = 1e-5
    norm_position: Literal["pre", "post"] = "pre"
    """`post` is the original "add & norm"."""
    parallel_attn_mlp: bool = False
    """Attention and feed-forward read the same residual stream (GPT-NeoX)."""
    final_norm: bool | None = None
    """Normalise after the last block; derived: only pre-norm models do."""
    attn_only: bool = False
    act_fn: Activation = "gelu_new"
    gated_mlp: bool = False
    mlp_bias: bool = True
    dropout: float = 0.0
    """On embeddings, attention weights and the outputs of sub-layers, in training mode."""

    # output
    head: Head = "lm"
    tie_word_embeddings: bool = False
    unembed_bias: bool = False
    logit_scale: float = 1.0
    """Factor on the final residual stream before the unembedding (T5 ties with d_model**-0.5)."""
    output_logits_soft_cap: float = -1.0
    n_classes: int = 0
    class_names: tuple[str, ...] = ()
    """What the classes are called, in the order of their numbers; () for no names."""
    pooling: Pooling = "first"
    """Which position a classification head reads."""
    pooler_act: Activation | None = None
    """A dense layer with this activation before the classifier; None for no such layer."""
    classifier_bias: bool = True

    # tokens
    bos_token_id: int | None = None
    eos_token_id: int | None = None
    pad_token_id: int | None = None
    decoder_start_token_id: int | None = None
    suppress_tokens: tuple[int, ...] = ()
    """Ids that are never written, whatever their logits."""
    default_prepend_bos: bool = True

    # bookkeeping
    initializer_range: float = 0.02
    model_name: str = "custom"
    original_architecture: str | None = None
    """Class of the transformers library whose weights these are; None for a model made here."""
    dtype: torch.dtype = torch.float32
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("d_model", "n_layers", "n_heads", "d_vocab", "n_ctx"):
            self._check_count(name, at_least=0 if name == "n_layers" else 1)
        self._derive()
        for name in ("d_head", "d_mlp", "d_vocab_out", "n_key_value_heads"):
            self._check_count(name, at_least=1)
        for name in ("n_decoder_layers", "n_segments"):
            self._check_count(name, at_least=0)
        self._check_choices()
        self._check_consistency()

    def _check_count(self, name: str, at_least: int) -> None:
        value = getattr(self, name)
        if type(value) is not int or value < at_least:
            raise ConfigError(
                f"{name} is {value!r}; it must be a whole number of at least {at_least}."
            )

    def _derive(self) -> None:
        derived: dict[str, Any] = {}  # name -> the value that asked for it

        def derive(name: str, value: Any, unset: Any = -1) -> None:
            if getattr(self, name) == unset:
                derived[name] = unset
                object.__setattr__(self, name, value)

        if self.d_head == -1 and self.d_model % self.n_heads:
            raise ConfigError(
                f"d_model {self.d_model} is not a multiple of n_heads {self.n_heads}; "
                "give d_head explicitly."
            )
        derive("d_head", self.d_model // self.n_heads)
        derive("d_mlp", 4 * self.d_model)
        derive("d_vocab_out", self.d_vocab)
        derive("n_key_value_heads", self.n_heads)
        derive("n_decoder_layers", self.n_layers if self.shape == "encoder_decoder" else 0)
        derive("rotary_dim", self.d_head)
        derive("attn_scale", math.sqrt(max(self.d_head, 0)))
        derive("final_norm", self.norm_position == "pre", unset=None)
        if self.normalization_type == "RMS":
            derive("norm_bias", False, unset=True)
        for name in ("attn_types", "suppress_tokens", "class_names"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "_derived", derived)

    def _check_choices(self) -> None:
        choices = {
            "shape": Shape,
            "positional_embedding_type": Positions,
            "normalization_type": Normalization,
            "act_fn": Activation,
            "head": Head,
            "pooling": Pooling,
        }
        for name, alias in choices.items():
            allowed = get_args(alias)
            if getattr(self, name) not in allowed:
                raise ConfigError(
                    f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(allowed)}."
                )
        if self.pooler_act is not None and self.pooler_act not in get_args(Activation):
            allowed = get_args(Activation)
            raise ConfigError(
                f"pooler_act is {self.pooler_act!r}; it must be None or one of "
                f"{', '.join(allowed)}."
            )
        if self.norm_position not in ("pre", "post"):
            raise ConfigError(f"norm_position is {self.norm_position!r}; it must be pre or post.")

    def _check_consistency(self) -> None:
        def require(condition: bool, message: str) -> None:
            if not condition:
                raise ConfigError(message)

        require(
            self.n_heads % self.n_key_value_heads == 0,
            f"n_heads {self.n_heads} is not a multiple of n_key_value_heads "
            f"{self.n_key_value_heads}; every key/value head must serve equally many queries.",
        )
        require(self.attn_scale > 0, f"attn_scale is {self.attn_scale}; scores are divided by it.")
        require(self.eps >= 0, f"eps is {self.eps}; a norm adds it to a square.")
        if self.positional_embedding_type == "rotary":
            require(
                0 < self.rotary_dim <= self.d_head and self.rotary_dim % 2 == 0,
                f"rotary_dim is {self.rotary_dim}; it must be even and at most {self.d_head=}.",
            )
        if self.positional_embedding_type == "sinusoidal":
            require(self.d_model % 2 == 0, "sinusoidal positions need an even d_model.")
        if self.positional_embedding_type == "relative_positional_bias":
            buckets, distance = (
                self.relative_attention_num_buckets,
                self.relative_attention_max_distance,
            )
            require(
                buckets >= 4,
                f"relative_attention_num_buckets is {buckets}; both directions need two at least.",
            )
            require(
                distance > buckets // 2,
                f"relative_attention_max_distance is {distance}; it must exceed the "
                f"{buckets // 2} distances that have a bucket of their own.",
            )
        if self.attn_types:
            require(
                len(self.attn_types) == self.n_layers
                and set(self.attn_types) <= {"global", "local"},
                f"attn_types needs `global` or `local` for each of the {self.n_layers} layers.",
            )
        if "local" in self.attn_types:
            require(self.window_size > 0, "local attention needs a positive window_size.")
            require(self.shape == "decoder", "local attention is for decoders.")
        require(
            not (self.parallel_attn_mlp and self.norm_position == "post"),
            "parallel blocks are pre-norm; norm_position='post' contradicts parallel_attn_mlp.",
        )
        require(
            not (self.parallel_attn_mlp and self.shape == "encoder_decoder"),
            "parallel blocks have no cross-attention; an encoder-decoder cannot have "
            "parallel_attn_mlp.",
        )
        require(
            self.shape != "encoder_decoder" or self.n_segments == 0,
            "segment embeddings belong to encoders; an encoder-decoder has none.",
        )
        classes = self.head in ("classification", "token_classification")
        require(
            not classes or self.n_classes > 0,
            f"head {self.head!r} needs n_classes, the number of classes.",
        )
        require(
            not self.class_names or len(set(self.class_names)) == self.n_classes,
            f"class_names are {list(self.class_names)}; give each of the {self.n_classes} classes "
            "a name of its own.",
        )
        require(
            self.shape != "encoder_decoder" or self.head == "lm",
            f"an encoder-decoder has the head 'lm', not {self.head!r}.",
        )
        require(
            not (self.shape == "encoder" and self.head == "lm"),
            "an encoder sees the whole text, so it cannot have the head 'lm'; "
            "use 'mlm', 'classification', 'token_classification', 'span' or 'none'.",
        )
        require(
            not (self.shape == "decoder" and self.head == "mlm"),
            "a decoder sees only the past; masked language modelling ('mlm') needs an encoder.",
        )
        require(
            not self.tie_word_embeddings or self.has_vocabulary_head,
            "tie_word_embeddings needs a head over the vocabulary (lm or mlm).",
        )
        require(
            not self.tie_word_embeddings or self.d_vocab_out == self.d_vocab,
            "tie_word_embeddings needs d_vocab_out to equal d_vocab.",
        )
        for i in self.suppress_tokens:
            require(
                type(i) is int and 0 <= i < self.d_vocab_out,
                f"suppress_tokens has {i!r}; the ids that can be written are 0 to "
                f"{self.d_vocab_out - 1}.",
            )
        require(0.0 <= self.dropout < 1.0, f"dropout is {self.dropout}; it must be in [0, 1).")

    @property
    def attention_dir(self) -> Literal["causal", "bidirectional"]:
        """Whether a position sees only earlier ones (in an encoder-decoder: in its decoder)."""
        return "bidirectional" if self.shape == "encoder" else "causal"

    @property
    def use_local_attn(self) -> bool:
        return "local" in self.attn_types

    @property
    def has_vocabulary_head(self) -> bool:
        """Whether the output is a distribution over the vocabulary."""
        return self.head in ("lm", "mlm")

    def attention_type(self, layer: int) -> AttentionType:
        return self.attn_types[layer] if self.attn_types else "global"

    def replace(self, **changes: Any) -> TransformerConfig:
        """A copy with some fields changed; the copy checks itself, and derives anew what this
        configuration has derived (with another `n_heads`, another `d_head`)."""
        derived: dict[str, Any] = self.__dict__["_derived"]
        return dataclasses.replace(self, **{**derived, **changes})

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON. The device is where a model happens to be, so it is left out."""
        values = dataclasses.asdict(self)
        del values["device"]
        values["dtype"] = str(self.dtype).removeprefix("torch.")
        for name in ("attn_types", "suppress_tokens", "class_names"):
            values[name] = list(values[name])
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TransformerConfig:
        """The inverse of `to_dict`; refuses unknown fields, since they may change the model."""
        values = dict(values)
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(
                f"Unknown configuration field(s) {', '.join(unknown)}; the file was written by a "
                "newer version or for another library."
            )
        try:
            if isinstance(values.get("dtype"), str):
                dtype = getattr(torch, values["dtype"], None)
                if not isinstance(dtype, torch.dtype):
                    raise ConfigError(f"{values['dtype']!r} is not a torch dtype.")
                values["dtype"] = dtype
            if values.get("rope_scaling") is not None:
                values["rope_scaling"] = record(RopeScaling, values["rope_scaling"])
            for name in ("attn_types", "suppress_tokens", "class_names"):
                values[name] = tuple(values.get(name, ()))
            return record(cls, values)
        except TypeError as error:
            raise ConfigError(f"The configuration cannot be read: {error}.") from error
