"""From a model to evidence that a person can sign: `interp audit`.

`audited` opens what is audited, a file in `parts/` answers one question about it with a `Section`,
and the rest of this folder turns sections into pages, tables, gates and comparisons.
"""
