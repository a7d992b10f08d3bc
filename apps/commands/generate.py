"""Continue a prompt with a language model; the text appears as it is written."""

from __future__ import annotations

import argparse
import json
import sys

from apps.options import add_json, add_model

EXAMPLES = """\
  interp generate stories "Once upon a time" --seed 1
  interp generate ./my-model "The answer is" --greedy --max-new-tokens 5 --json
  interp generate stories "One day" --num-beams 4"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("prompt", help="the text to continue")
    parser.add_argument("--max-new-tokens", type=int, default=50, metavar="N")
    parser.add_argument("--temperature", type=float, default=0.8, metavar="T")
    parser.add_argument("--top-k", type=int, metavar="K", help="draw from the K likeliest tokens")
    parser.add_argument("--top-p", type=float, metavar="P", help="draw from the likeliest with P")
    parser.add_argument("--repetition-penalty", type=float, default=1.0, metavar="R")
    parser.add_argument("--greedy", action="store_true", help="take the likeliest token each time")
    parser.add_argument("--num-beams", type=int, default=1, metavar="B", help="beam search")
    parser.add_argument("--stop", action="append", metavar="TEXT", help="end at this text")
    parser.add_argument("--seed", type=int, metavar="N", help="makes the draws repeatable")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    import interp
    from interp.figures.labels import literal

    model = interp.load(options.model)
    settings = {
        "max_new_tokens": options.max_new_tokens,
        "repetition_penalty": options.repetition_penalty,
        "stop": options.stop,
    }
    if options.num_beams > 1:
        text = model.generate(options.prompt, num_beams=options.num_beams, **settings)
        pieces = [text.removeprefix(options.prompt)]
    else:
        pieces = model.generate_stream(
            options.prompt,
            do_sample=not options.greedy,
            temperature=options.temperature,
            top_k=options.top_k,
            top_p=options.top_p,
            seed=options.seed,
            **settings,
        )
    if options.json:
        written = "".join(pieces)
        answer = {"model": options.model, "prompt": options.prompt, "continuation": written}
        print(json.dumps(answer, ensure_ascii=False))
        return 0
    # A model may write anything, and some characters steer a terminal.
    shown = literal if sys.stdout.isatty() else str
    if model.cfg.shape == "decoder":
        sys.stdout.write(shown(options.prompt))
    for piece in pieces:
        sys.stdout.write(shown(piece))
        sys.stdout.flush()
    print()
    return 0
