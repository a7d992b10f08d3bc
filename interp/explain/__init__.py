"""Local explainers: why the model said this about that input, with the evidence for the answer."""
