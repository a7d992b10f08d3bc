"""Looking inside: which parts of a model carry what it says about a text."""

from interp.explain.inside.attribution_patching import attribution_patching
from interp.explain.inside.circuits import Circuit, discover, prune
from interp.explain.inside.component_lens import component_lens
from interp.explain.inside.conductance import conductance
from interp.explain.inside.contributions import Contributions, contributions
from interp.explain.inside.direct import direct_attribution
from interp.explain.inside.edge_scores import EdgeScores, agreement
from interp.explain.inside.edges import edge_attribution
from interp.explain.inside.exact_edges import exact_edges, path_patching
from interp.explain.inside.flow import Flow
from interp.explain.inside.graph import Graph
from interp.explain.inside.patched import Patched
from interp.explain.inside.patching import patch
from interp.explain.inside.steering import SteeringVector, steered, steering_vector
from interp.explain.inside.steering_effect import steering_effect

__all__ = [
    "Circuit",
    "Contributions",
    "EdgeScores",
    "Flow",
    "Graph",
    "Patched",
    "SteeringVector",
    "agreement",
    "attribution_patching",
    "component_lens",
    "conductance",
    "contributions",
    "direct_attribution",
    "discover",
    "edge_attribution",
    "exact_edges",
    "patch",
    "path_patching",
    "prune",
    "steered",
    "steering_effect",
    "steering_vector",
]
