"""Global analyses, one file each: a function, the tidy frame it returns, and a script."""

# Name of the module -> what it says, in a line; `interp probe` lists them.
ANALYSES: dict[str, str] = {
    "dimension": "how many dimensions each layer fills: TwoNN and participation ratio",
    "dynamics": "loss, local learning coefficient, gradient noise over a training, and their jumps",
    "erasure": "what a concept is worth to a model: probe accuracy and loss after erasing it",
    "fourier": "whether a model that adds modulo p keeps numbers as angles of a few frequencies",
    "heads": "where each attention head looks, what it copies, and which heads it reads",
    "lens": "what a model would predict if it stopped after each layer: logit and tuned lens",
    "privacy": "what a model remembers of its training data, and who could show it",
    "similarity": "how alike the layers of models are: debiased CKA, SVCCA and RSA",
    "checkpoints": "whether the checkpoints of a run are what they say, and how far weights moved",
    "neurons": "how often each neuron is active, how strongly, and where most",
}
