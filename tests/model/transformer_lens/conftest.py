"""The models that TransformerLens's tools are run on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tests.model.transformer_lens.models import Pair, bridge, ours


@pytest.fixture(scope="session")
def plain() -> Pair:
    """Ours and theirs, weights as they are."""
    return ours(), bridge()


@pytest.fixture(scope="session")
def folded() -> Pair:
    """Ours and theirs, folded and centred."""
    return ours().folded(), bridge(compatible=True)


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield
