"""The public class: a Transformer that can be trained, opened, edited and made to write."""

from __future__ import annotations

from interp.model.generate import Generation
from interp.model.hooked import Hooked
from interp.model.migrant import Migrant
from interp.model.portable import Portable


class HookedTransformer(Hooked, Migrant, Portable, Generation):
    """A Transformer whose every activation has a name.

    One class for decoders, encoders and encoder-decoders, by configuration. Its parts are its base
    classes: `Transformer` (the forward pass), `Hooked` (caches, hooks, resumed forwards), `Text`
    (strings and tokens), `Weights` (TransformerLens's views of the parameters), `Migrant` (its
    older calls), `Portable` (the way to other libraries) and `Generation`.
    """
