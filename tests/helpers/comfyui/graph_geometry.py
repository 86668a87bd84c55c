"""Where the links of an example graph run, as the classic canvas draws them.

Curves and places of sockets are those of LiteGraph: a cubic curve whose handles lie level with its
ends, a quarter of their distance away; sockets 20 px below each other, linked widgets below them.
"""

import numpy as np

TITLE, SLOT, WIDGET = 30, 20, 24  # px: height of the title, apart of sockets, apart of widgets
BAR = 1.4  # height of a group's title bar in heights of its letters
STEPS = 160


def boxes(graph: dict) -> dict[int, tuple[float, float, float, float]]:
    """Return left, top, right and bottom of every node with its title, px."""
    return {
        node["id"]: (
            node["pos"][0],
            node["pos"][1] - TITLE,
            node["pos"][0] + node["size"][0],
            node["pos"][1] + node["size"][1],
        )
        for node in graph["nodes"]
    }


def curves(graph: dict) -> dict[int, np.ndarray]:
    """Return points [STEPS+1,2] on every link, px, by its id."""
    nodes = {node["id"]: node for node in graph["nodes"]}
    found = {}
    for link, source, output, target, slot, _ in graph["links"]:
        begin = nodes[source]["pos"][0] + nodes[source]["size"][0], _socket(nodes[source], output)
        end = nodes[target]["pos"][0], _input(nodes[target], slot)
        found[link] = _curve(np.array(begin, float), np.array(end, float))
    return found


def hidden(graph: dict) -> list[tuple[int, int]]:
    """Return (link, node) where a link passes behind a node that it does not join."""
    ends = {link[0]: (link[1], link[3]) for link in graph["links"]}
    found = []
    for link, points in curves(graph).items():
        for node, (left, top, right, bottom) in boxes(graph).items():
            x, y = points[:, 0], points[:, 1]
            inside = (left < x) & (x < right) & (top < y) & (y < bottom)
            if node not in ends[link] and inside.any():
                found.append((link, node))
    return found


def over_titles(graph: dict) -> list[tuple[int, str]]:
    """Return (link, title) where a link passes over the bar in which a group's title stands."""
    bars = [(one["title"], one["bounding"], BAR * one["font_size"]) for one in graph["groups"]]
    found = []
    for link, points in curves(graph).items():
        x, y = points[:, 0], points[:, 1]
        for title, (left, top, width, _), bar in bars:
            inside = (left < x) & (x < left + width) & (top < y) & (y < top + bar)
            if inside.any():
                found.append((link, title))
    return found


def crossings(graph: dict) -> list[tuple[int, int]]:
    """Return pairs of links that cross; links from one socket begin together and do not count."""
    sources = {link[0]: (link[1], link[2]) for link in graph["links"]}
    every = list(curves(graph).items())
    return [
        (a, b)
        for i, (a, one) in enumerate(every)
        for b, other in every[i + 1 :]
        if sources[a] != sources[b] and _cross(one, other)
    ]


def _socket(node: dict, index: int) -> float:
    return node["pos"][1] + (index + 0.7) * SLOT


def _input(node: dict, slot: int) -> float:
    """Return the height of an input: sockets first; a widget's lies at the widget."""
    given = node["inputs"]
    sockets = [one for one in given if "widget" not in one]
    if "widget" not in given[slot]:
        return _socket(node, sockets.index(given[slot]))
    rows = max(len(sockets), len(node.get("outputs", [])))
    widget = [one for one in given if "widget" in one].index(given[slot])
    return node["pos"][1] + rows * SLOT + 4 + (widget + 0.5) * WIDGET


def _curve(begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    handle = np.array([0.25 * np.linalg.norm(end - begin), 0.0])
    t = np.linspace(0, 1, STEPS + 1)[:, None]
    parts = (begin, begin + handle, end - handle, end)
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
    return sum(weight * part for weight, part in zip(weights, parts, strict=True))


def _cross(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether two chains of segments meet: each one's ends on both sides of the other."""
    a, b = one[:-1, None], one[1:, None]
    c, d = other[None, :-1], other[None, 1:]
    return bool(((_side(a, b, c) != _side(a, b, d)) & (_side(c, d, a) != _side(c, d, b))).any())


def _side(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    along, off = b - a, c - a
    return along[..., 0] * off[..., 1] - along[..., 1] * off[..., 0] > 0
