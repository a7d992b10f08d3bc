"""Looking inside: which parts of a model carry what it says about a text."""
