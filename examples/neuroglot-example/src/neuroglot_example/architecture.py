"""An architecture whose layers have two MLPs, of which ``main`` is the one to count."""

from neuroglot.model.sites import Site

#: Paths of attributes inside a layer; neuroglot proves them on a few tokens before it counts.
TWOFOLD = Site(gate="mlp.main.gate_proj", activation="mlp.main.act_fn", down="mlp.main.down_proj")
