"""How the page of an audit looks, on a screen in light and dark, and on paper."""

from __future__ import annotations

from interp.figures.theme import MONO, PALETTES, Scheme


def css() -> str:
    """The rules that the page adds to those of `interp.figures.page`."""
    dark = f"@media (prefers-color-scheme:dark){{{_accent('dark')}}}"
    return _accent("light") + dark + "".join(_RULES)


def _accent(scheme: Scheme) -> str:
    return f":root{{--accent:{PALETTES[scheme].accent_text}}}"


_RULES = (
    "main{max-width:64rem}",
    "section{display:grid;grid-template-columns:minmax(0,1fr);gap:1rem;"
    "border-top:1px solid var(--line);padding-top:1.25rem}",
    "h2{font-size:1.25rem;line-height:1.3;font-weight:650;margin:0;overflow-wrap:anywhere}",
    "h3{font-size:1rem;font-weight:650;margin:.5rem 0 0}",
    "a{color:inherit;text-underline-offset:.15em}",
    "a:focus-visible,.wide:focus-visible{outline:2px solid var(--ink);outline-offset:2px}",
    ".lead{display:grid;gap:.4rem}",
    ".text,.verdicts,.plain{max-width:46rem}",
    ".contents{margin:0;padding-left:1.4rem;columns:2;column-gap:2rem}",
    ".verdicts,.plain{margin:0;display:grid;gap:.5rem}",
    ".verdicts{padding:0;list-style:none}.verdicts li{padding-left:1.5rem;text-indent:-1.5rem}",
    ".plain{padding-left:1.5rem}",
    ".plain{color:var(--muted)}",
    ".verdicts li{overflow-wrap:anywhere}",
    "section>.verdicts.risk{font-weight:600}",
    ".mark{display:inline-block;width:1.5rem;font-weight:650;text-indent:0}",
    ".mark.risk{color:var(--accent)}",
    ".where{font-weight:400;font-size:.8125rem;color:var(--muted);white-space:normal}",
    ".facts div{flex-basis:14rem}",
    ".wide{overflow-x:auto}",
    ".wide table,.mapping,.sign-off{margin:0}",
    "caption{text-align:left;padding-bottom:.3rem;white-space:nowrap}",
    "caption small{color:var(--muted);font-size:.8125rem}",
    ".wide table{font-size:.9375rem}",
    "th.words,td.words,th.short,td.short{text-align:left;unicode-bidi:isolate}",
    "th.words,td.words{white-space:pre-wrap;overflow-wrap:anywhere;max-width:30rem}",
    "td.short{white-space:pre}",
    f"code{{font-family:{MONO};font-size:.75rem;white-space:nowrap}}",
    "th.number,td.number{text-align:right;white-space:nowrap}",
    ".none{color:var(--muted)}",
    ".mapping th,.mapping td,.sign-off th{text-align:left}",
    ".mapping th[scope=row],.sign-off th{color:var(--ink);font-size:.9375rem;max-width:30rem}",
    ".mapping,.sign-off{width:100%}",
    ".sign-off td{width:60%}.sign-off th,.sign-off td{padding-top:1.6rem}",
    "figcaption{color:var(--muted);font-size:.875rem;max-width:46rem}",
    "@media (max-width:40rem){.contents{columns:1}}",
    "details>.plain{margin-top:.5rem}details+details{margin-top:-.5rem}",
    # On paper nothing can be opened.
    "@media print{main{max-width:none;padding:0}a{text-decoration:none}"
    "details::details-content{content-visibility:visible;block-size:auto}}",
)
