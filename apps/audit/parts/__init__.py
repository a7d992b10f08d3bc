"""The parts of an audit, in the order of its page: a file each, with `part(audited) -> Section`.

A part is imported when it is run. It reads the model and changes nothing; all chance comes from
`audited.seed`, so that two audits give the same tables.
"""

from __future__ import annotations

PARTS: dict[str, str] = {
    "identity": "what exactly was audited: hashes, versions, settings",
    "purpose": "what the model is for, and what it is not for",
    "data": "what it learnt from and what it was measured on",
    "performance": "how good it is, on the worst slice first",
    "shortcuts": "which single words or surface features decide, whatever the text says",
    "explainers": "which explanations of this model can be trusted",
    "cases": "single predictions, chosen by a rule, with what they rest on",
    "probes": "what its layers know, beside controls",
    "interventions": "what changes when its parts are taken away, beside chance",
    "privacy": "what it remembers of its training data",
    "limits": "what cannot be concluded",
    "changes": "what is new since the last audit",
    "reproduce": "how to get the same figures",
}
"""Name of the module -> the question that it answers."""
