"""Takes out of the notebooks what running them left: `python -m notebooks.tidy` before a commit."""

from __future__ import annotations

import nbformat

from interp.atomic import writing
from notebooks.notebook import notebooks, read, tidy


def main() -> None:
    for path in notebooks():
        text = nbformat.writes(tidy(read(path))) + "\n"
        if text != path.read_text("utf-8"):
            with writing(path) as file:
                file.write(text)
            print(f"tidied: {path.name}")


if __name__ == "__main__":
    main()
