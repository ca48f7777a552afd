"""The description of a circuit: populations and synapse groups on a networkx graph, and no tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Literal

import networkx as nx

from neurosim.circuit_checks import (
    at,
    fitted,
    refuse_gate,
    refuse_incomplete,
    refuse_misfit,
    refuse_misplaced,
    refuse_missharing,
)
from neurosim.circuit_file import as_text, from_data, from_json, to_data, to_json
from neurosim.circuit_variants import with_rules, with_sharing
from neurosim.connectivity import Connectivity, Shape
from neurosim.errors import CircuitError, UnknownNameError
from neurosim.gates import Gate
from neurosim.initializers import SIGNS, He, Initializer, Site
from neurosim.plasticity import PlasticityRule
from neurosim.populations import (
    BIASES,
    Population,
    Shared,
    SynapseGroup,
    declared_shape,
    site_of,
    whole_number,
)
from neurosim.readout import Readout, codewords_of
from neurosim.relaxation import WeightRelaxation
from neurosim.vectorization import Vectorization, vectorization_named

if TYPE_CHECKING:
    from neurosim.guarantees import Guarantees

INPUT, OUTPUT = "input", "output"


class Circuit:
    """A directed acyclic graph of populations that ends in a readout.

    Two populations exist from the start: ``"input"`` (scalar units, the images) and ``"output"``. With vector units
    (``K`` = the readout's length, the default) the output is one unit of K components; with ``K=1``, a conventional
    network, it is one scalar unit per output component.

    Args:
        inputs: shape of one input example.
        readout: output code and loss; K and the output's shape follow from it.
        K: components per unit; None for the readout's length.
        output_bias: ``"unit"`` or None.

    Raises:
        CircuitError: K that fits neither vector nor scalar units.

    Example:
        >>> from neurosim import GEVB, Circuit, Dense, OneHot, OnOff, SignGate
        >>> c = Circuit(inputs=(1, 28, 28), readout=OneHot(10))
        >>> _ = c.population("f1", (64,), gate=SignGate())
        >>> _ = c.connect("input", "f1", Dense(), rule=GEVB(), init=OnOff())
        >>> _ = c.connect("f1", "output", Dense(), rule=GEVB(), init=OnOff(), sign="nonnegative")
        >>> print(c)
        Circuit: K = 10 (vector units), readout OneHot(classes=10, loss='cross_entropy'), 501824 weights
          population  shape        gate        bias
          input       (1, 28, 28)  scalar      -
          f1          (64,)        SignGate()  unit
          output      (1,)         linear      unit
          group       connectivity  rule    sign         init     weights
          input->f1   Dense()       GEVB()  mixed        OnOff()  (10, 64, 1, 28, 28)
          f1->output  Dense()       GEVB()  nonnegative  OnOff()  (1, 64)
    """

    def __init__(
        self, inputs: Shape | int, readout: Readout, K: int | None = None, output_bias: Literal["unit"] | None = "unit"
    ) -> None:
        if not isinstance(readout, Readout):
            raise CircuitError(f"readout must be a Readout such as OneHot(10), got {readout!r}")
        shape = declared_shape(INPUT, inputs)
        if isinstance(inputs, Sequence) and len(shape) < len(inputs):
            raise CircuitError(f"the shape of the input must be complete, got {inputs}")
        self.readout = readout
        self.K = readout.length if K is None else whole_number("K", K)
        if self.K not in (1, readout.length):
            raise CircuitError(
                f"K = {self.K} does not fit the readout {readout} of {readout.length} components: use "
                f"K={readout.length} (vector units, one output unit) or K=1 (scalar units, {readout.length} outputs)"
            )
        self.graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
        self._add(Population(INPUT, shape, bias=None, scalar=True))
        outputs = readout.length // self.K
        if output_bias not in ("unit", None):
            raise UnknownNameError("output bias", output_bias, ["unit", "None"])
        self._add(Population(OUTPUT, (outputs,), bias=output_bias))

    # -- building ------------------------------------------------------------------------------------------------

    def population(
        self,
        name: str,
        shape: int | tuple[int | EllipsisType, ...],
        gate: Gate | None = None,
        bias: str | None = "unit",
        bias_rule: PlasticityRule | None | Shared = "shared",
    ) -> Population:
        """Add a population of vector units.

        Args:
            name: unique; ``"input"`` and ``"output"`` exist already.
            shape: ``(n,)`` or ``(channels, height, width)``; ``(channels, ...)`` leaves the rest to the first group
                that connects into it.
            gate, bias, bias_rule: see :class:`Population`.

        Raises:
            CircuitError: a name taken, a shape that is none, a gate that cannot serve this many units or listens to a
                population that is not scalar.
            UnknownNameError: a gate that listens to a population which does not exist (yet).
        """
        if bias not in BIASES:
            raise UnknownNameError(f"bias for population '{name}'", str(bias), map(str, BIASES))
        if bias is None and bias_rule != "shared":
            raise CircuitError(f"population '{name}' has no bias (bias=None), so bias_rule={bias_rule!r} has no effect")
        shape_open = isinstance(shape, Sequence) and any(extent is ... for extent in shape)
        added = Population(
            name, declared_shape(name, shape), gate=gate, bias=bias, bias_rule=bias_rule, shape_open=shape_open
        )
        if gate is not None:
            refuse_gate(self, added, gate)
        return self._add(added)

    def relay(self, name: str, pre: str, connectivity: Connectivity) -> Population:
        """Add a relay of ``pre``: a population without bias, gate or rule, such as ``AvgPool(2)`` makes.

        Raises:
            CircuitError: a connectivity that has weights (use :meth:`connect`), or that does not fit ``pre``.
        """
        group, source = SynapseGroup(f"{pre}->{name}", pre, name, connectivity), self._known_shape(pre)
        if connectivity.has_weights:
            raise CircuitError(f"relay '{name}': {connectivity} has weights; use population() and connect()")
        self._refuse_taken(group)
        with at(f"relay '{name}' of '{pre}'"):
            shape = connectivity.post_shape(source.shape, None)
        added = self._add(Population(name, shape, bias=None, scalar=source.scalar, relay_of=pre))
        self.graph.add_edge(pre, name, key=group.name, group=group)
        return added

    def connect(
        self,
        pre: str,
        post: str,
        connectivity: Connectivity,
        rule: PlasticityRule | None = None,
        sign: str = "mixed",
        init: Initializer | None = None,
        name: str | None = None,
        sharing: str = "tied",
        relaxation: WeightRelaxation | None = None,
    ) -> SynapseGroup:
        """Add a synapse group from ``pre`` to ``post``.

        Args:
            rule: the plasticity rule of the group; None freezes it.
            sign: ``"mixed"``, ``"nonnegative"`` or ``"nonpositive"``.
            init: how the weights start; default :class:`~neurosim.initializers.He`.
            name: default ``"pre->post"``; needed for a second group between the same populations.
            sharing: ``"tied"``: the K components of two vector units share one weight. ``"untied"``: each has its own,
                ``(K, *weight)``, and changes it by its own ``G a_mu e_mu``. All K start equal, from the very draw
                of the tied group, so that untying changes nothing before learning does.
            relaxation: what draws untied weights together, :class:`~neurosim.relaxation.Relaxation` or
                :class:`~neurosim.relaxation.NoiseRelaxation`; a frozen group is not relaxed.

        Raises:
            UnknownNameError: a population, sign or sharing that does not exist.
            CircuitError: a shape that does not fit, a cycle, a rule, sign, initializer, sharing or relaxation that
                cannot apply.
        """
        given = f"{pre}->{post}" if name is None else name
        group = SynapseGroup(given, pre, post, connectivity, rule, sign, init or He(), sharing, relaxation)
        source, target = self._known_shape(pre), self._population(post)
        self._refuse_taken(group)
        if sign not in SIGNS:
            raise UnknownNameError("sign", sign, SIGNS)
        refuse_misplaced(self.graph, group, target)
        refuse_missharing(self, group, source)
        resolved = fitted(group, source, target)
        refuse_misfit(self, group, source, resolved)
        self.graph.nodes[post]["population"] = resolved
        self.graph.add_edge(pre, post, key=group.name, group=group)
        return group

    def with_rules(
        self, rules: PlasticityRule | None | Mapping[str, PlasticityRule | None], *, frozen_too: bool = False
    ) -> Circuit:
        """A copy whose learning groups use other rules.

        Args:
            rules: one rule for every learning group, or group name -> rule for those named.
            frozen_too: give one rule to frozen groups as well.

        Example:
            >>> from neurosim import BP, circuits
            >>> circuits.load("digits-fc").with_rules(BP()).groups["fc2->output"].rule
            BP()
        """
        return with_rules(self, rules, frozen_too=frozen_too)

    def with_sharing(self, sharing: str, relaxation: WeightRelaxation | None = None) -> Circuit:
        """A copy in which all groups between vector units are tied, or untied and relaxed.

        Example:
            >>> from neurosim import Relaxation, circuits
            >>> untied = circuits.load("digits-fc").with_sharing("untied", Relaxation(rate=0.5))
            >>> untied.weight_shape(untied.group("fc1->fc2"))
            (10, 128, 256)
        """
        return with_sharing(self, sharing, relaxation)

    def copy(self) -> Circuit:
        """A circuit of the same parts; building on one does not change the other."""
        twin = copy(self)
        twin.graph = self.graph.copy()
        return twin

    # -- reading -------------------------------------------------------------------------------------------------

    @property
    def inputs(self) -> Shape:
        """Shape of one input example."""
        return self.populations[INPUT].shape

    @property
    def output_units(self) -> int:
        """1 with vector units; the readout's length with scalar units."""
        return self.readout.length // self.K

    @property
    def populations(self) -> dict[str, Population]:
        """All populations by name, in the order they were added."""
        return {name: data["population"] for name, data in self.graph.nodes(data=True)}

    @property
    def groups(self) -> dict[str, SynapseGroup]:
        """The groups that have weights, by name; relays have none."""
        return {name: group for name, group in self._edges().items() if group.connectivity.has_weights}

    def group(self, name: str) -> SynapseGroup:
        """A group by name; unknown names list the known ones."""
        groups = self.groups
        if name not in tuple(groups):  # a name may be anything, also what has no hash
            raise UnknownNameError("group", name, groups)
        return groups[name]

    @property
    def order(self) -> list[str]:
        """The populations, every one after those it listens to."""
        return list(nx.lexicographical_topological_sort(self.graph, key=list(self.graph.nodes).index))

    def into(self, population: str) -> list[SynapseGroup]:
        """The groups onto a population; for a relay, its pooling."""
        return [data["group"] for _, _, data in self.graph.in_edges(population, data=True)]

    def out_of(self, population: str) -> list[SynapseGroup]:
        """The groups and poolings that listen to a population."""
        return [data["group"] for _, _, data in self.graph.out_edges(population, data=True)]

    def site(self, group: SynapseGroup) -> Site:
        """What the initializer of ``group`` is told."""
        pre, post = self.populations[group.pre], self.populations[group.post]
        sources = sum(g.name != group.name for g in self.into(group.post)) + 1
        return site_of(group, pre, post, self.K, sources)

    def weight_shape(self, group: SynapseGroup) -> Shape:
        """Shape of a group's weights: ``(K, *weight)`` where every component has its own, else ``weight``."""
        shape = self.site(group).shape
        return (self.K, *shape) if group.untied else shape

    def bias_rule(self, population: str) -> PlasticityRule | None:
        """The rule that a population's bias learns by; None where it is frozen or does not exist.

        At the output every rule follows the exact gradient, so where several meet there it is the first of them.

        Raises:
            CircuitError: its learning groups have different rules and no ``bias_rule=`` says which.
        """
        described = self.populations[population]
        if described.bias is None:
            return None
        if described.bias_rule != "shared":
            return described.bias_rule
        rules = [group.rule for group in self.into(population) if group.rule is not None]
        if population != OUTPUT and any(rule != rules[0] for rule in rules):
            listed = ", ".join(f"'{g.name}' {g.rule}" for g in self.into(population) if g.rule is not None)
            raise CircuitError(
                f"population '{population}': its groups learn by different rules ({listed}), so its bias needs "
                f"bias_rule= (one of them, or None to freeze it)"
            )
        return rules[0] if rules else None

    def check(self, vectorization: str | Vectorization = "group") -> Circuit:
        """Raise unless this circuit can run; allocates nothing but the codewords of another package's readout.

        Args:
            vectorization: ``"group"``, ``"temporal"``, ``"temporal:causal"`` or a
                :class:`~neurosim.vectorization.Temporal`.

        Raises:
            CircuitError: a population without input or without a way to the output, an ambiguous bias rule, a rule
                that cannot apply, a readout whose codewords cannot be told apart; in time, an untied group, a gate or
                rule that cannot be computed bin by bin, and for the causal order a gate, loss or rule that looks ahead.
        """
        chosen = vectorization_named(vectorization)
        refuse_incomplete(self)
        if not type(self.readout).__module__.startswith("neurosim."):
            codewords_of(self.readout)
        chosen.check(self)
        return self

    # -- saving --------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Plain data from which :meth:`from_dict` rebuilds an equal circuit."""
        return to_data(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Circuit:
        """Rebuild a circuit; every check of the builder runs again."""
        return from_data(cls, data)

    def to_json(self) -> str:
        """JSON text; :meth:`from_json` gives an equal circuit."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str) -> Circuit:
        """Rebuild a circuit from :meth:`to_json`'s text."""
        return from_json(cls, text)

    def draw(self, ax: Any = None) -> Any:
        """Draw populations and groups; returns the matplotlib axes."""
        from neurosim.figures.circuit import draw_circuit  # matplotlib is loaded only when something is drawn

        return draw_circuit(self, ax=ax)

    def guarantees(self, rule: PlasticityRule | None = None) -> Guarantees:
        """Which conditions of the sign-match theorem hold; see :func:`neurosim.guarantees.guarantees`."""
        from neurosim.guarantees import guarantees  # loaded only when it is asked

        return guarantees(self, rule)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Circuit) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Circuit: K = {self.K}, {len(self.populations)} populations, {len(self.groups)} synapse groups>"

    def __str__(self) -> str:
        return as_text(self)

    # -- checks --------------------------------------------------------------------------------------------------

    def _add(self, population: Population) -> Population:
        if population.name in self.graph:
            raise CircuitError(f"a population '{population.name}' exists already")
        self.graph.add_node(population.name, population=population)
        return population

    def _refuse_taken(self, group: SynapseGroup) -> None:
        if group.name in self._edges():
            raise CircuitError(f"a group '{group.name}' exists already; give this one another name=")

    def _edges(self) -> dict[str, SynapseGroup]:
        return {name: data["group"] for _, _, name, data in self.graph.edges(keys=True, data=True)}

    def _population(self, name: str) -> Population:
        if name not in tuple(self.graph):
            raise UnknownNameError("population", name, self.graph.nodes)
        population: Population = self.graph.nodes[name]["population"]
        return population

    def _known_shape(self, name: str) -> Population:
        population = self._population(name)
        if population.shape_open:
            raise CircuitError(
                f"the shape of population '{name}' is not known yet; connect a group into it before others listen to it"
            )
        return population
