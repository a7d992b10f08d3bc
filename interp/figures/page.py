"""One HTML file that opens anywhere, offline: no script, no request, light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from interp.figures.figure import scored_tokens
from interp.figures.labels import literal, number, visible
from interp.figures.strip import Scores
from interp.figures.theme import MONO, PALETTES, SANS

# Nothing may be fetched, sent or run; styles and pictures come with the file.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)


def page_html(title: str, *body: str, lang: str = "en") -> str:
    """A complete page around HTML fragments, as text to be written in UTF-8.

    Args:
        title: plain text; the page's title and its heading.
        body: fragments of HTML, trusted: the output of this package's functions. Text of others
            goes through `paragraph_html`.
        lang: language of the page's own words, a BCP 47 tag.
    """
    name = escape(literal(title))
    return (
        f'<!doctype html>\n<html lang="{escape(lang)}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{name}</title>\n<style>{_css()}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{name}</h1>\n" + "\n".join(body) + "\n</main>\n</body>\n</html>\n"
    )


def paragraph_html(text: str) -> str:
    """A paragraph of plain text, escaped, line breaks kept."""
    return f'<p class="text">{escape(literal(text))}</p>'


def facts_html(facts: Mapping[str, str | float]) -> str:
    """Names and values side by side, such as a method, its target and its error."""
    rows = "".join(
        f"<div><dt>{escape(literal(name))}</dt><dd>"
        f"{escape(literal(value) if isinstance(value, str) else number(value))}</dd></div>"
        for name, value in facts.items()
    )
    return f'<dl class="facts">{rows}</dl>'


def score_table_html(
    tokens: Sequence[str],
    scores: Scores,
    *,
    summary: str = "The scores as a table",
    unit: str = "score",
) -> str:
    """The table twin of a strip, folded away under `summary`.

    Raises:
        InputError: see `scored_tokens`.
    """
    array = scored_tokens(tokens, scores)
    rows = "".join(
        f'<tr><td>{place}</td><td class="token">{escape(visible(token))}</td>'
        f"<td>{number(score, signed=True)}</td></tr>"
        for place, (token, score) in enumerate(zip(tokens, array.tolist(), strict=True))
    )
    return (
        f"<details><summary>{escape(literal(summary))}</summary><table><thead><tr>"
        '<th scope="col">position</th><th scope="col">token</th>'
        f'<th scope="col">{escape(literal(unit))}</th></tr></thead><tbody>{rows}</tbody></table>'
        "</details>"
    )


def _css() -> str:
    def rules(scheme: str) -> str:
        colors = PALETTES["dark" if scheme == "dark" else "light"]
        return (
            f":root{{--paper:{colors.paper};--panel:{colors.panel};--ink:{colors.ink};"
            f"--muted:{colors.muted};--line:{colors.line}}}"
        )

    return "".join(
        (
            rules("light"),
            f"@media (prefers-color-scheme:dark){{{rules('dark')}}}",
            ":root{color-scheme:light dark}",
            f"body{{margin:0;background:var(--paper);color:var(--ink);font-family:{SANS};"
            "font-size:1rem;line-height:1.5}",
            # A gap of the grid, not margins: those belong to the fragments.
            "main{max-width:56rem;margin:0 auto;padding:2rem 1.25rem 3rem;display:grid;"
            "grid-template-columns:minmax(0,1fr);gap:1.5rem}",
            "h1{font-size:1.4rem;line-height:1.3;font-weight:650;margin:0;overflow-wrap:anywhere}",
            ".text{margin:0;white-space:pre-wrap;overflow-wrap:anywhere}",
            ".facts{display:flex;flex-wrap:wrap;gap:1px;margin:0;background:var(--line);"
            "border:1px solid var(--line)}",
            ".facts div{flex:1 1 11rem;background:var(--paper);padding:.5rem .75rem}",
            ".facts dt{color:var(--muted);font-size:.8125rem}",
            ".facts dd{margin:0;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}",
            "summary{cursor:pointer;width:fit-content}",
            "summary:focus-visible{outline:2px solid var(--ink);outline-offset:2px}",
            "table{border-collapse:collapse;margin-top:.6rem;font-variant-numeric:tabular-nums}",
            "th{font-weight:400;color:var(--muted);font-size:.8125rem}",
            "th,td{text-align:right;padding:.2rem 1.4rem .2rem 0;border-bottom:1px solid "
            "var(--line);vertical-align:top}",
            f"th:nth-child(2),td.token{{text-align:left}}td.token{{font-family:{MONO};"
            "white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate}",
        )
    )
