"""The privacy audit: what a model remembers of its training data, and who could show it.

`exposure` (canaries), `extraction`, `membership` and `personal_data` are the four questions;
`python -m probes.privacy QUESTION` asks one of them.
"""

from probes.privacy.attacks import attack_scores
from probes.privacy.blind import blind_scores, overlap
from probes.privacy.canaries import Canary, insert, insert_pairs, make_canaries
from probes.privacy.dp import Bound, epsilon_bound
from probes.privacy.exposure import exposure
from probes.privacy.extraction import extraction
from probes.privacy.likelihood import Reading, read
from probes.privacy.membership import Membership, membership
from probes.privacy.personal import generate, personal_data
from probes.privacy.script import SCRIPT
from probes.privacy.separation import auroc, roc, tpr_at
from probes.privacy.shadow import Shadows, lira, rmia, train_shadows

__all__ = [
    "SCRIPT",
    "Bound",
    "Canary",
    "Membership",
    "Reading",
    "Shadows",
    "attack_scores",
    "auroc",
    "blind_scores",
    "epsilon_bound",
    "exposure",
    "extraction",
    "generate",
    "insert",
    "insert_pairs",
    "lira",
    "make_canaries",
    "membership",
    "overlap",
    "personal_data",
    "read",
    "rmia",
    "roc",
    "tpr_at",
    "train_shadows",
]
