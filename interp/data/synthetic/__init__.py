"""Languages made by rules, so that what a model should do, and why, is known."""
