"""Where the boxes and arrows of a circuit diagram are: columns, lanes and ports, all in inches.

The layout of Sugiyama, Tagawa and Toda (1981), for layered graphs. A group that skips columns gets a lane in each of
them, beside the boxes, so that no arrow crosses a box; arrows leave and arrive at ports, a label's height apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from attrs import frozen

#: between the ports of a box, so that a line of text fits above each arrow
PORT = 0.2
_LANE, _BETWEEN_BOXES, _BESIDE_LANE = 0.3, 0.3, 0.06

#: a population, or the lane of a group in one of the columns between
Node = str | tuple[str, int]
Links = Sequence[tuple[Node, Node]]


@frozen
class Edge:
    """One group: where it starts and ends."""

    name: str
    pre: str
    post: str


@frozen
class Arrangement:
    """Heights of what a diagram shows.

    Attributes:
        y: of the centre of every population and lane.
        chains: group to what it passes, its populations at the ends.
        leave, arrive: group to the height at which its arrow leaves and arrives.
        extents: population to the height that its box needs for its ports.
    """

    y: Mapping[Node, float]
    chains: Mapping[str, list[Node]]
    leave: Mapping[str, float]
    arrive: Mapping[str, float]
    extents: Mapping[str, float]


def arrange(layers: Sequence[Sequence[str]], edges: Sequence[Edge], heights: Mapping[str, float]) -> Arrangement:
    """Heights of populations, lanes and ports.

    Args:
        layers: the populations of every column.
        edges: the groups.
        heights: of the boxes, for what is written in them.

    Example:
        >>> found = arrange([["a"], ["b"], ["c"]], [Edge("ab", "a", "b"), Edge("ac", "a", "c")], dict(a=1, b=1, c=1))
        >>> found.chains["ac"], found.y["a"] == found.y["b"], found.y["ac", 1] > 0.5
        (['a', ('ac', 1), 'c'], True, True)
    """
    column = {name: number for number, layer in enumerate(layers) for name in layer}
    chains: dict[str, list[Node]] = {}
    for edge in edges:
        lanes: list[Node] = [(edge.name, between) for between in range(column[edge.pre] + 1, column[edge.post])]
        chains[edge.name] = [edge.pre, *lanes, edge.post]
    crossed = [node for chain in chains.values() for node in chain[1:-1]]
    lanes_of = [[lane for lane in crossed if lane[1] == number] for number in range(len(layers))]
    links = [link for chain in chains.values() for link in pairwise(chain)]
    piled: list[list[Node]] = [[*lanes, *layer] for lanes, layer in zip(lanes_of, layers, strict=True)]
    stacks = _uncrossed(piled, links)
    ports = {name: max(sum(e.pre == name for e in edges), sum(e.post == name for e in edges)) for name in column}
    tall = {name: max(heights[name], 2 * (ports[name] - 1) * PORT + 0.14) for name in column}
    y = _settled(stacks, links, tall)
    leave, arrive, extents = {}, {}, {}
    for name in column:
        out = _ports(y, name, {e.name: chains[e.name][1] for e in edges if e.pre == name})
        into = _ports(y, name, {e.name: chains[e.name][-2] for e in edges if e.post == name})
        leave.update(out)
        arrive.update(into)
        extents[name] = 2 * max([abs(port - y[name]) for port in (*out.values(), *into.values())], default=0.0) + 0.14
    return Arrangement(y, chains, leave, arrive, extents)


def _ports(y: Mapping[Node, float], name: str, others: Mapping[str, Node]) -> dict[str, float]:
    """Ordered as what they lead to, centred, on the straight arrows if there are any."""
    ordered = sorted(others, key=lambda group: -y[others[group]])
    straight = [number for number, group in enumerate(ordered) if abs(y[others[group]] - y[name]) < 0.03]
    centre = sum(straight) / len(straight) if straight else (len(ordered) - 1) / 2
    return {group: y[name] + (centre - number) * PORT for number, group in enumerate(ordered)}


def _uncrossed(stacks: list[list[Node]], links: Links) -> list[list[Node]]:
    """Every column in the order, of those that barycentres lead to, in which the fewest lines cross."""
    best, order = stacks, stacks
    for sweep in range(8):
        order = [list(stack) for stack in order]
        forward = sweep % 2 == 0
        for number in range(1, len(order)) if forward else range(len(order) - 2, -1, -1):
            beside = order[number - 1] if forward else order[number + 1]
            place = {node: index - (len(beside) - 1) / 2 for index, node in enumerate(beside)}
            middle = {}
            for index, node in enumerate(order[number]):
                near = [place[other] for other in _neighbours(node, links) if other in place]
                middle[node] = sum(near) / len(near) if near else index - (len(order[number]) - 1) / 2
            order[number].sort(key=middle.__getitem__)
        if _crossings(order, links) < _crossings(best, links):
            best = order
    return best


def _neighbours(node: Node, links: Links) -> list[Node]:
    return [b if a == node else a for a, b in links if node in (a, b)]


def _crossings(stacks: Sequence[Sequence[Node]], links: Links) -> int:
    column = {node: (number, index) for number, stack in enumerate(stacks) for index, node in enumerate(stack)}
    ends = [(*column[a], column[b][1]) for a, b in links]
    return sum(
        one[0] == other[0] and (one[1] - other[1]) * (one[2] - other[2]) < 0
        for number, one in enumerate(ends)
        for other in ends[:number]
    )


def _settled(stacks: Sequence[Sequence[Node]], links: Links, tall: Mapping[str, float]) -> dict[Node, float]:
    """Everything as level with its neighbours as fits; boxes look at boxes first, and lanes give way."""
    y = {node: 0.0 for stack in stacks for node in stack}
    near = {node: _neighbours(node, links) for node in y}
    for node, others in near.items():
        boxes: list[Node] = [other for other in others if isinstance(other, str)]
        near[node] = boxes if isinstance(node, str) and boxes else others
    for _ in range(200):
        before = dict(y)
        for stack in (*stacks, *reversed(stacks)):
            wanted = [sum(y[o] for o in near[node]) / len(near[node]) if near[node] else 0.0 for node in stack]
            weights = [1e4 if isinstance(node, str) else 1.0 for node in stack]
            apart = [_apart(above, below, tall) for above, below in pairwise(stack)]
            y.update(zip(stack, _spread(wanted, weights, apart), strict=True))
        if all(abs(y[node] - before[node]) < 1e-4 for node in y):
            break
    return y


def _apart(above: Node, below: Node, tall: Mapping[str, float]) -> float:
    halves = sum(tall[node] if isinstance(node, str) else _LANE for node in (above, below)) / 2
    return halves + (_BETWEEN_BOXES if isinstance(above, str) and isinstance(below, str) else _BESIDE_LANE)


def _spread(wanted: Sequence[float], weights: Sequence[float], apart: Sequence[float]) -> list[float]:
    """The nearest heights (weighted squares) that keep their distances, from above: isotonic regression."""
    down = [0.0]
    for distance in apart:
        down.append(down[-1] + distance)
    blocks: list[tuple[float, float, int]] = []  # mean, weight, members
    for height, weight, offset in zip(wanted, weights, down, strict=True):
        block = (height + offset, weight, 1)
        while blocks and blocks[-1][0] < block[0]:  # it would be above its neighbour: one block, at the mean
            mean, heavy, members = blocks.pop()
            total = heavy + block[1]
            block = ((mean * heavy + block[0] * block[1]) / total, total, members + block[2])
        blocks.append(block)
    levels = [mean for mean, _, members in blocks for _ in range(members)]
    return [level - offset for level, offset in zip(levels, down, strict=True)]
