"""Runs notebooks and writes each as a page that opens without a network.

    python -m notebooks.pages                                   # all of them, into pages/
    python -m notebooks.pages 1-start-here --set MODEL=runs/mine --out mine/

A notebook runs in a folder of its own, so a relative path of a parameter is made absolute first.
"""

from __future__ import annotations

import argparse
import ast
import tempfile
import time
from html import escape
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from interp.atomic import writing
from interp.errors import InputError
from interp.figures.page import page_html
from interp.figures.theme import MONO
from notebooks.notebook import INJECTED, notebooks, read, run, with_parameters


def page(notebook: NotebookNode) -> str:
    """An executed notebook as a page: its text, its code, and what that printed."""
    import mistune

    markdown = mistune.create_markdown(plugins=["table"])
    title, _, rest = notebook.cells[0].source.partition("\n")
    body = [f"<style>{_css()}</style>", f'<div class="md">{markdown(rest)}</div>']
    for cell in notebook.cells[1:]:
        if cell.cell_type == "markdown":
            body.append(f'<div class="md">{markdown(cell.source)}</div>')
        elif cell.cell_type == "code":
            body += [_code(cell), *map(_output, cell.outputs)]
    return page_html(title.lstrip("# "), *body)


def _code(cell: NotebookNode) -> str:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    shown: str = highlight(cell.source, PythonLexer(), HtmlFormatter(nowrap=True))
    label = "other parameters" if INJECTED in cell.metadata.get("tags", []) else "code"
    return f'<pre class="code" tabindex="0" aria-label="{label}">{shown}</pre>'


def _output(output: NotebookNode) -> str:
    """What a cell printed or showed. HTML comes from this package and pandas, which escape."""
    data = output.get("data", {})
    if "text/html" in data:
        return f'<div class="out">{data["text/html"]}</div>'
    text = output.text if output.output_type == "stream" else data.get("text/plain", "")
    return f'<pre class="out" tabindex="0">{escape(text)}</pre>'


def _css() -> str:
    from pygments.formatters import HtmlFormatter

    light = HtmlFormatter(style="default").get_style_defs(".code")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".code")
    return "".join(
        (
            light,
            f"@media (prefers-color-scheme:dark){{{dark}}}",
            ".md>:first-child{margin-top:0}.md>:last-child{margin-bottom:0}",
            ".md th,.md td{text-align:left}",
            ".md h2{font-size:1.2rem;margin:1rem 0 .5rem}.md a{color:inherit}",
            f"code,pre{{font-family:{MONO};font-size:.875rem}}",
            "pre{margin:0;overflow-x:auto;line-height:1.45}",
            ".code{background:var(--panel);color:var(--ink);padding:.75rem 1rem;border-radius:4px}",
            "pre.out{white-space:pre-wrap;overflow-wrap:anywhere}",
            ".out{overflow-x:auto}pre.out{padding-left:1rem;border-left:2px solid var(--line)}",
            "figcaption{color:var(--muted);font-size:.9375rem}",
            ".dataframe{border:0}.dataframe td,.dataframe th{border-width:0 0 1px}",
            ".dataframe th:nth-child(2){text-align:right}",
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m notebooks.pages",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", help="notebooks without their ending (all)")
    parser.add_argument("--out", type=Path, default=Path("pages"), help="folder of the pages")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="another parameter"
    )
    options = parser.parse_args()
    try:
        chosen = _chosen(options.names)
        values = dict(map(assignment, options.set))
        options.out.mkdir(parents=True, exist_ok=True)
        for path in chosen:
            _write(path, values, options.out)
    except InputError as error:
        parser.exit(2, f"{error}\n")


def _write(path: Path, values: dict[str, Any], out: Path) -> None:
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        executed = run(with_parameters(read(path), values), folder)
    target = out / f"{path.stem}.html"
    with writing(target) as file:
        file.write(page(executed))
    print(f"{target}  {time.perf_counter() - began:.0f} s", flush=True)


def _chosen(names: list[str]) -> list[Path]:
    known = {path.stem: path for path in notebooks()}
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise InputError(f"There is no notebook {', '.join(unknown)}: {', '.join(known)}.")
    return [known[name] for name in names or known]


def assignment(given: str) -> tuple[str, Any]:
    """`N=3` is a number, `MODEL=stories` a text, and what is a path here is one everywhere."""
    name, equals, value = given.partition("=")
    if not equals:
        raise InputError(f"--set {given} has no value; write NAME=VALUE.")
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        path = Path(value)
        return name, str(path.resolve()) if path.exists() else value


if __name__ == "__main__":
    main()
