"""What old notebooks call on TransformerLens's `HookedTransformer`, and this model does otherwise.

Hooks here belong to a call or to a `with` block, never to the model, and every point is computed
when somebody asks for it: there is nothing to reset and nothing to switch on.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, NoReturn

from interp.errors import HookError
from interp.model.weights import Weights


class _Submodule:
    """A submodule that its class shows as well: runtime protocols, as those that TransformerLens
    asks for a model with, look there and not into `nn.Module.__getattr__` since Python 3.12."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, model: Any, owner: type) -> Any:
        if model is None:
            return self
        try:
            return model._modules[self.name]
        except KeyError:
            raise AttributeError(f"This model has no {self.name!r}.") from None


class Migrant(Weights):
    """The part of a model that understands TransformerLens's older calls."""

    blocks: Any = _Submodule()
    ln_final: Any = _Submodule()

    @classmethod
    def from_pretrained(
        cls,
        model_name: Any,
        *,
        fold_ln: bool = True,
        center_writing_weights: bool = True,
        center_unembed: bool = True,
        fold_value_biases: bool = True,
        **options: Any,
    ) -> Any:
        """`interp.load(model_name, **options)` with the weights processed, as TransformerLens's
        `from_pretrained` did; see `interp.model.fold`. Post-norm models are left as they are.

        Args:
            model_name: whatever `interp.load` opens, or TransformerLens's name of a GPT-2 or
                Pythia model.
        """
        model = cls.from_pretrained_no_processing(model_name, **options)
        if not isinstance(model, Migrant) or model.cfg.norm_position == "post":
            return model
        return model.folded(
            fold_ln=fold_ln,
            center_writing_weights=center_writing_weights,
            center_unembed=center_unembed,
            fold_value_biases=fold_value_biases,
        )

    @classmethod
    def from_pretrained_no_processing(cls, model_name: Any, **options: Any) -> Any:
        """`interp.load(model_name, **options)`."""
        if isinstance(model_name, str):
            if model_name == "gpt2-small":
                model_name = "gpt2"
            elif model_name.startswith("pythia-"):
                model_name = f"EleutherAI/{model_name}"
        # Loaders live a floor above the model: this reaches them by the package's own lazy door.
        return import_module("interp").load(model_name, **options)

    def add_hook(self, *args: Any, **options: Any) -> NoReturn:
        """Refused: no hook outlives the call or `with` block that it was given to."""
        raise HookError(
            "Hooks are not left on this model, where the next call would meet them unawares. Write "
            "`with model.hooks(fwd_hooks=[(name, function)]): ...` around the calls they are for, "
            "or `model.run_with_hooks(tokens, fwd_hooks=[(name, function)])`."
        )

    add_perma_hook = add_hook

    def reset_hooks(self, *args: Any, **options: Any) -> None:
        """Nothing to do: no hook outlives the call or `with` block that it was given to."""

    def set_use_attn_result(self, use_attn_result: bool) -> None:
        """Nothing to do: `hook_result` is computed when somebody asks for it."""

    def set_use_split_qkv_input(self, use_split_qkv_input: bool) -> None:
        """Nothing to do: `hook_q_input` (and k, v) are computed when somebody asks for them."""

    def set_use_attn_in(self, use_attn_in: bool) -> None:
        """Nothing to do: `hook_attn_in` is computed when somebody asks for it."""

    def set_use_hook_mlp_in(self, use_hook_mlp_in: bool) -> None:
        """Nothing to do: `hook_mlp_in` always fires."""
