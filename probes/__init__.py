"""Global analyses, one file each: a function, the tidy frame it returns, and a script."""

# Name of the module -> what it says, in a line; `interp probe` lists them.
ANALYSES: dict[str, str] = {
    "heads": "where each attention head looks, what it copies, and which heads it reads",
    "lens": "what a model would predict if it stopped after each layer: logit and tuned lens",
}
