"""Which explanations of this model can be trusted."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from apps.audit.audited import Audited
from apps.audit.section import Finding, Section
from interp.data.order import stream_seed
from interp.errors import InterpError
from interp.explain import METHODS as EXPLAINERS
from interp.explain import Target, attribute, attribution_report
from interp.explain.planted import HAND_WRITTEN
from interp.explain.planted.ranking import measure, summary
from interp.explain.report import AttributionReport
from interp.explain.scorecard import ranks
from probes.statistics import cluster_bootstrap, sign_flips
from probes.texts import text_of

if TYPE_CHECKING:
    import pandas as pd

TITLE = "Which explanations of this model can be trusted"
METHODS = {
    "integrated_gradients": "Integrated gradients",
    "gradient_x_input": "Gradient times input",
    "leave_one_out": "Leaving words out one by one",
    "attention_rollout": "Attention rollout",
}
"""Explainers that are asked at every depth -> what their findings call them."""
MORE = {
    "permutation_shapley": "Shapley values",
    "attn_lrp": "Relevance (AttnLRP)",
    "kernel_shap": "Kernel SHAP",
    "lime": "LIME",
}
"""Those that are asked beyond `quick`."""
SAMPLED = ("permutation_shapley", "kernel_shap", "lime")
OPTIONS: dict[str, dict[str, Any]] = {"permutation_shapley": {"max_evaluations": 512}}
LEVEL = 0.05
ALIKE = 0.5  # correlation with the scores of random weights, from which on a method reads no model
FINDS = 0.5  # of the way from chance to all of a known mechanism
_AREA = 1.0  # that a text counts for at most: where little is to be explained, shares explode
_WORDS = 12  # of a text, so that a card takes seconds
_LEFT_OUT = ("seconds", "peak MiB", "forwards", "backwards")  # what an audit's tables do not hold


def part(audited: Audited) -> Section:
    """The scorecard of a handful of explainers on held-out texts, and what they find on models
    whose mechanism is known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of methods that do not converge: their error is shown
        return _part(audited)


def _part(audited: Audited) -> Section:
    wanted = METHODS if audited.depth == "quick" else {**METHODS, **MORE}
    planted = _planted(audited, list(wanted))
    tables = {"planted": summary(planted, ["method", "metric"], audited.seed)}
    texts = _texts(audited)
    why = "there are no texts to explain"
    report = None
    if texts:
        try:
            report = _report(audited, texts, list(wanted))
        except InterpError as error:
            why = str(error).rstrip(".")
    if report is None:
        findings: Sequence[Finding] = (
            Finding(
                "explainers.trusted",
                "unknown",
                f"Which explanations of this model can be trusted is not known: {why}.",
                ("planted",),
            ),
        )
        measures: dict[str, float] = {}
    else:
        verdicts = _verdicts(audited, report, planted, wanted)
        findings = tuple(_findings(verdicts, len(report.texts)))
        card = report.summary()
        card = card[~card["metric"].isin(_LEFT_OUT)].reset_index(drop=True)
        tables = {
            "verdicts": verdicts.drop(columns="called"),
            "scorecard": card,
            "agreement": _agreement(report),
            **tables,
        }
        measures = {
            "trusted_methods": float(verdicts["trusted"].sum()),
            "best_gain_over_random": float(verdicts["gain"].max()),
        }
    return Section(
        "explainers",
        TITLE,
        text=(
            "An explanation gives each word of a text a part in the answer, and can be wrong. Each "
            "method is tried on texts of this model. Words are taken away in its order, the most "
            "weighty first and last: the larger the area between the two curves, the better the "
            "order (random order: 0). A method that gives the same order when the model's weights "
            "are random does not read the model.",
            "Beside it, each method explains small models whose mechanism is known because it was "
            "built in, in the shape of this model. There its answer is right or wrong.",
            "A method counts as trusted here if its order beats a random one over the texts (sign "
            f"flips, {LEVEL:.0%}, corrected for all methods; a text counts for an area of "
            f"{_AREA:.0f} at most), is another with random weights (correlation below {ALIKE}), "
            "and comes at least half of the way from chance to all that is known to matter in the "
            "others.",
        ),
        findings=tuple(findings),
        facts={"texts explained": 0 if report is None else len(report.texts)},
        tables=tables,
        measures=measures,
        open=(
            "That a method orders words well does not make its numbers right, nor does it hold for "
            "texts of another kind or length.",
            "The models with a known mechanism are small and simple; what fails there is doubtful "
            "everywhere, what works there may still fail here.",
        ),
    )


# -- on this model ---------------------------------------------------------------------------------


def _texts(audited: Audited) -> list[str]:
    """Texts of a few words that the model has not learnt from, if there are such."""
    given = audited.held_out or audited.learnt
    if given is None or audited.model.tokenizer is None:
        return []
    n = audited.at_most(10, 25, 60) or 60
    random = np.random.default_rng(stream_seed("audit explainers", audited.seed))
    found: list[str] = []
    for i in random.permutation(len(given.records)).tolist():
        try:
            words = text_of(given.records[i]).split()
        except InterpError:
            return []
        if len(words) >= 4:
            found.append(" ".join(words[:_WORDS]))
        if len(found) == n:
            break
    return found


def _report(audited: Audited, texts: Sequence[str], methods: Sequence[str]) -> AttributionReport:
    """The methods that go with the model, on all texts."""
    target, asked = Target.centred_logit(), list(texts)
    if audited.model.cfg.head == "mlm":  # what stands behind the text, before the last mark
        mask = audited.model.require_tokenizer().special.get("mask", "")
        target, asked = Target.centred_logit(position=-2), [f"{text} {mask}" for text in texts]
    refused: InterpError | None = None
    fitting = []
    for method in methods:
        try:
            attribute(audited.model, asked[0], method, target, **OPTIONS.get(method, {}))
            fitting.append(method)
        except InterpError as error:
            refused = error
    if not fitting and refused is not None:
        raise refused
    options = {name: OPTIONS[name] for name in fitting if name in OPTIONS}
    return attribution_report(
        audited.model, asked, fitting, target, options=options, seed=audited.seed
    )


def _by_text(report: AttributionReport, metric: str, method: str) -> np.ndarray:
    frame = report.scorecard
    mine = frame[(frame["metric"] == metric) & (frame["method"] == method)]
    values: np.ndarray = (
        mine.set_index("text")["value"].reindex(range(len(report.texts))).to_numpy(dtype=float)
    )
    return values


def _agreement(report: AttributionReport) -> pd.DataFrame:
    """Mean correlation of the scores of each two methods over texts."""
    frame = report.agreement()
    grouped = frame.groupby(["method", "other"], sort=False)["value"]
    return grouped.agg(value="mean", n="count").reset_index()


def _spread(audited: Audited, report: AttributionReport, method: str) -> float:
    """How alike a method that samples orders the words with another seed; NaN for others."""
    if method not in SAMPLED:
        return float("nan")
    found = []
    for explained in report.texts:
        one = next(a for a in explained.attributions if a.method == method)
        origin = one.origin
        assert origin is not None
        again = EXPLAINERS[method](
            origin.point, **{**origin.options, "seed": audited.seed + 1}
        ).scores
        other = again.double().cpu().numpy()
        found.append(float(ranks.spearman(np.array([one.scores]), other[None])[0]))
    return float(np.nanmean(found))


# -- on models whose mechanism is known ------------------------------------------------------------


def _planted(audited: Audited, methods: Sequence[str]) -> pd.DataFrame:
    """Every figure of each method on each item of the hand-written models of this shape."""
    import pandas as pd

    shape = audited.model.cfg.shape
    n = audited.at_most(3, 10, 30) or 30
    rows = []
    for name, make in HAND_WRITTEN.items():
        planted = make(audited.seed)
        if planted.model.cfg.shape != shape:
            continue
        for i, item in enumerate(planted.items(n, audited.seed)):
            for method in methods:
                try:
                    scores = attribute(
                        planted.model, item.text, method, item.target, planted.baseline,
                        inputs=item.inputs, **OPTIONS.get(method, {}),
                    ).scores  # fmt: skip
                except InterpError:
                    continue
                found = measure(item, scores, audited.seed)
                chance = found["auprc chance"]
                found["auprc, share of the way"] = (found["auprc"] - chance) / (1 - chance)
                rows += [
                    {"mechanism": name, "item": i, "method": method, "metric": k, "value": v}
                    for k, v in found.items()
                ]
    return pd.DataFrame(rows)


# -- verdicts --------------------------------------------------------------------------------------


def _verdicts(
    audited: Audited, report: AttributionReport, planted: pd.DataFrame, names: dict[str, str]
) -> pd.DataFrame:
    """A row a method: what was found of it here and on known mechanisms, and the verdict."""
    import pandas as pd

    methods = [a.method for a in report.texts[0].attributions]
    random = _by_text(report, "ABPC", "random")
    gains = np.stack([_by_text(report, "ABPC", m) - random for m in methods], 1)
    # A text in which nothing can be taken away shows nothing.
    gains = np.nan_to_num(gains).clip(-_AREA, _AREA)
    units = np.arange(len(gains))
    p = sign_flips(gains, units, seed=audited.seed)
    low, high = cluster_bootstrap(gains, units, seed=audited.seed)
    known = summary(planted, ["method", "metric"], audited.seed).set_index(["method", "metric"])
    rows = []
    for k, method in enumerate(methods):
        alike = float(np.nanmean(_by_text(report, "randomised all weights", method)))
        error = _by_text(report, "completeness error", method)
        finds = _known(known, method, "auprc, share of the way")
        order, reads = bool(p[k] < LEVEL), not alike >= ALIKE
        rows.append(
            {
                "method": method,
                "called": names[method],
                "gain": float(gains[:, k].mean()),
                "gain_low": float(low[k]),
                "gain_high": float(high[k]),
                "p": float(p[k]),
                "texts_better": int((gains[:, k] > 0).sum()),
                "texts": len(gains),
                "random_weights": alike,
                "completeness_error": float(np.nanmax(error)) if np.isfinite(error).any() else None,
                "other_seed": _spread(audited, report, method),
                "planted": _known(known, method, "auprc"),
                "planted_chance": _known(known, method, "auprc chance"),
                "order": order,
                "reads_model": reads,
                "finds_planted": finds >= FINDS,
                "trusted": order and reads and finds >= FINDS,
            }
        )
    return pd.DataFrame(rows)


def _known(known: pd.DataFrame, method: str, metric: str) -> float:
    """A mean over the items with a known mechanism; NaN where the method refuses them."""
    key = (method, metric)
    return float(known.loc[key, "value"]) if key in known.index else float("nan")


def _findings(verdicts: pd.DataFrame, n: int) -> Iterator[Finding]:
    evidence = ("verdicts", "scorecard", "planted")
    trusted = verdicts[verdicts["trusted"]]
    if len(trusted):
        best = trusted.loc[trusted["gain"].idxmax()]
        yield Finding(
            "explainers.trusted",
            "fine",
            f"{len(trusted)} of {len(verdicts)} explanation methods can be relied on for the order "
            f"of the words that an answer rests on; the best of them here is {best['called']}.",
            evidence,
        )
    else:
        yield Finding(
            "explainers.trusted",
            "caution",
            f"None of {len(verdicts)} explanation methods has shown on {n} texts that the order in "
            "which it ranks words can be relied on.",
            evidence,
            1.0,
        )
    for row in verdicts.itertuples():
        yield Finding(
            f"explainers.{row.method}",
            "fine" if row.trusted else "caution",
            _sentence(row),
            evidence,
            0.0 if row.trusted else 0.5 - float(row.gain),
        )


def _sentence(row: Any) -> str:
    here = (
        f"the answer falls sooner when words go in its order than in a random one on "
        f"{row.texts_better} of {row.texts} texts (area between the curves {row.gain:.2f}, "
        f"{row.gain_low:.2f} to {row.gain_high:.2f})"
    )
    weights = (
        f"its order and that of a model with random weights correlate by {row.random_weights:.2f}"
    )
    truth = (
        f"on models whose mechanism is known it finds it with a precision of {row.planted:.2f} "
        f"(chance: {row.planted_chance:.2f})"
    )
    if row.trusted:
        return f"{row.called} can be relied on for the order of words: {here}; {weights}; {truth}."
    faults = []
    if not row.order and row.gain_low <= 0:
        faults.append(f"its order is no better than chance: {here}")
    elif not row.order:
        faults.append(f"chance could explain that {here}")
    if not row.reads_model:
        faults.append(f"it hardly reads the model, since {weights}")
    if not row.finds_planted:
        faults.append(f"{truth}, which is too little")
    known = "is not to be relied on" if len(faults) > 1 or row.gain_low <= 0 else "is not proven"
    return f"{row.called} {known} here: {'; '.join(faults)}."
