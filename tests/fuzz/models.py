"""Readers of what holds a model, or what a training or a harvest left behind."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import Any

import torch

import interp
from interp.activations import Places, Plan, Side, Store, Texts, harvest
from interp.data.corpus import PackedCorpus
from interp.explain.tuned_lens import TunedLens
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.pretrained.folder import save_folder
from interp.pretrained.weights_file import WeightFiles
from interp.processes import World
from interp.tokenizer import Tokenizer
from interp.train.loop import fit
from interp.train.lora import LoRA, add_lora, load_adapter, save_adapter
from interp.train.state import load_state, newest_state, save_state
from interp.train.tasks import open_task, save_task
from interp.train.tasks.classification import Classification
from probes.dictionary import exchange
from probes.dictionary.coder import Coder
from tests.data.packed import corpus, tokenizer
from tests.fuzz.judge import Reader
from tests.train.runs import Counting, settings, tiny

TEXT = "the old king naïve 漢字 ran\tand \U0001f600 <|endoftext|> [MASK]"


@functools.cache
def words(kind: Any = "bpe", shape: str = "decoder") -> Tokenizer:
    return tokenizer(kind, shape)


@functools.cache
def fixed() -> HookedTransformer:
    """A model that adapters, lenses and dictionaries are read for."""
    return tiny().eval()


def _forged(folder: Path) -> None:
    """The hash of the weights written anew, as one who means harm would."""
    path = folder / "metadata.json"
    values = json.loads(path.read_text("utf-8"))
    content = (folder / "model.safetensors").read_bytes()
    values["files"]["model.safetensors"]["sha256"] = hashlib.sha256(content).hexdigest()
    path.write_text(json.dumps(values), "utf-8")


# -- a checkpoint of our own -----------------------------------------------------------------------


def _make_own(folder: Path, **variant: Any) -> None:
    import transformers  # noqa: F401  (asked where a folder turns out not to be of our own)

    text = words()
    cfg = TransformerConfig(d_model=8, n_layers=2, n_heads=2, d_vocab=len(text), n_ctx=16)
    save_folder(HookedTransformer(cfg.replace(**variant), text, seed=0), folder)


def _make_rotary(folder: Path) -> None:
    _make_own(folder, positional_embedding_type="rotary", gated_mlp=True, normalization_type="RMS")


def _make_pair(folder: Path) -> None:
    _make_own(folder, shape="encoder_decoder", positional_embedding_type="sinusoidal", d_mlp=8)


def _use(model: Any) -> None:
    with torch.no_grad():
        model.run_with_cache(torch.tensor([[0, 1, 2]]), names_filter=lambda name: "resid" in name)
    if model.tokenizer is not None:
        _say(model.tokenizer)


def _read_model(folder: Path) -> None:
    interp.load(folder, bridge=False)


def _say(text: Tokenizer) -> None:
    ids = text.encode(TEXT, add_special_tokens=True)
    text.decode(ids[:8])
    text.offsets(TEXT)
    _ = text.special_ids, text.bos_token_id, text.pad_token_id, len(text)


# -- weights, tokenizers ---------------------------------------------------------------------------


def _make_shards(folder: Path) -> None:
    from safetensors.torch import save_file

    names = {}
    for i in range(2):
        tensors = {f"w.{i}.{j}": torch.ones(3, j + 1) for j in range(3)}
        save_file(tensors, folder / f"model-{i + 1:05}-of-00002.safetensors")
        names |= dict.fromkeys(tensors, f"model-{i + 1:05}-of-00002.safetensors")
    index = {"metadata": {"total_size": 72}, "weight_map": names}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _make_weights(folder: Path) -> None:
    from safetensors.torch import save_file

    tensors = {"a": torch.ones(3, 4), "b": torch.ones(5, dtype=torch.bfloat16), "c": torch.ones(0)}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def _read_weights(folder: Path) -> None:
    files = WeightFiles.open(folder)
    for name in files.names():
        files.read(name)


def _make_tokenizers(folder: Path) -> None:
    for kind in ("bpe", "unigram", "wordpiece"):
        (folder / kind).mkdir()
        words(kind).save(folder / kind)


def _read_tokenizers(folder: Path) -> None:
    for kind in ("bpe", "unigram", "wordpiece"):
        _say(Tokenizer.from_folder(folder / kind))


# -- folders of the transformers library -----------------------------------------------------------


def _make_gpt2(folder: Path) -> None:
    import transformers

    sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 16}
    text = words()
    config = transformers.GPT2Config(**sizes, vocab_size=len(text))
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    text.save(folder)


def _make_bert(folder: Path) -> None:
    import transformers

    text = words("wordpiece", "encoder")
    config = transformers.BertConfig(
        vocab_size=len(text),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
    )
    transformers.BertForMaskedLM(config).save_pretrained(folder)
    text.save(folder)


# -- runs ------------------------------------------------------------------------------------------


def _make_run(folder: Path) -> None:
    fit(tiny(), Counting(), settings(steps=3, checkpoint_every=2), folder=folder, progress=False)
    save_task(Classification(("bad", "good")), folder / "model")


def _read_run(folder: Path) -> None:
    run = interp.Run.open(folder)
    _ = run.log, run.steps, run.load(-1), run.final
    open_task(folder / "model")


def _tensors() -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in fixed().named_parameters()}


def _make_state(folder: Path) -> None:
    save_state(folder, 3, _tensors(), {"loss": 1.5}, World())


def _read_state(folder: Path) -> None:
    found = newest_state(folder)
    if found is not None:
        load_state(found[0], _tensors(), World())


def _make_task(folder: Path) -> None:
    save_task(Classification(("bad", "good")), folder)


# -- corpora and activations -----------------------------------------------------------------------


def _read_corpus(folder: Path) -> None:
    opened = PackedCorpus.open(folder)
    opened.read([0, len(opened) // 2], 9)
    for i in range(min(opened.manifest.n_documents, 20)):
        opened.document(i)
    opened.bits_per_byte(1.0)
    _say(opened.tokenizer)
    opened.verify()


def _make_store(folder: Path) -> None:
    texts = Texts(Side([[1, 2, 3, 4], [5, 6, 7]]))
    sites = [f"blocks.{layer}.hook_resid_post" for layer in range(2)]
    places = Places.tokens(texts.source)
    plan = Plan(texts, sites, places, moments=True, rows="int8", tokens=8, shard=4)
    harvest(fixed(), plan, folder / "store")


def _read_store(folder: Path) -> None:
    store = Store.open(folder / "store")
    _ = store.places, store.texts, store.summary, store.classes
    for site in list(store.sites)[:4]:
        store.read(site)
        store.frame(site)
    store.verify()


# -- what belongs to a model -----------------------------------------------------------------------


def _make_adapter(folder: Path) -> None:
    model = tiny()
    lora = LoRA(rank=2)
    add_lora(model, lora)
    save_adapter(model, lora, folder)


def _read_adapter(folder: Path) -> None:
    load_adapter(tiny(), folder)


def _make_lens(folder: Path) -> None:
    TunedLens.identity(fixed()).save(folder / "lens.safetensors")


def _read_lens(folder: Path) -> None:
    TunedLens.load(folder / "lens.safetensors", fixed())


def _make_dictionary(folder: Path) -> None:
    draw = torch.Generator().manual_seed(0)
    shape = {"W_enc": (16, 6), "b_enc": (6,), "W_dec": (6, 16), "b_dec": (16,)}
    tensors = {name: torch.randn(size, generator=draw) for name, size in shape.items()}
    site = "blocks.0.hook_resid_post"
    exchange.save(Coder(**tensors, site=site, target=site, k=2), folder / "saelens")
    exchange.save_sparsify(Coder(**tensors, site=site, target=site, k=2), folder / "sparsify")


def _read_dictionary(folder: Path) -> None:
    for name in ("saelens", "sparsify"):
        exchange.load(folder / name)


READERS: dict[str, Reader] = {
    "checkpoint": Reader(_make_own, _read_model, _forged, cost=8),
    "checkpoint, rotary": Reader(_make_rotary, _read_model, _forged, cost=8),
    "checkpoint, encoder-decoder": Reader(_make_pair, _read_model, _forged, cost=12),
    "weights": Reader(_make_weights, _read_weights),
    "weights in shards": Reader(_make_shards, _read_weights),
    "tokenizers": Reader(_make_tokenizers, _read_tokenizers, cost=5),
    "gpt2 folder": Reader(_make_gpt2, _read_model, cost=40),
    "bert folder": Reader(_make_bert, _read_model, cost=40),
    "run": Reader(_make_run, _read_run, cost=30),
    "state of a training": Reader(_make_state, _read_state, cost=10),
    "task": Reader(_make_task, open_task),
    "packed corpus": Reader(corpus, _read_corpus, cost=3),
    "activation store": Reader(_make_store, _read_store, cost=15),
    "adapter": Reader(_make_adapter, _read_adapter, cost=10),
    "tuned lens": Reader(_make_lens, _read_lens, cost=2),
    "dictionary": Reader(_make_dictionary, _read_dictionary, cost=3),
}
