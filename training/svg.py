"""What pygal drew, made fit for a page that must stand alone: no scripts, and labels that do not overlap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

FONT_SIZE = 12
CHARACTER_WIDTH = 0.56 * FONT_SIZE  # of a sans-serif letter on average, a little generous
MAX_LABELS = 14
MAX_LABEL_LENGTH = 32
HALO = "stroke: var(--page) !important; stroke-width: 3px; paint-order: stroke; fill: var(--text)"
LABEL_STYLE = f"font-size: {FONT_SIZE}px; {HALO}"

Node = Any  # an element of xml.etree, or of lxml where pygal found that


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle of the plot, in its pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        """Tells whether the two share some area."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def holds(self, other: Box) -> bool:
        """Tells whether the other lies inside."""
        return (
            self.left <= other.left
            and self.top <= other.top
            and other.right <= self.right
            and other.bottom <= self.bottom
        )


def finished(root: Node, *, description: str) -> Node:
    """Returns the tree of a pygal chart without scripts, comments and hidden parts, its point labels placed."""
    root.set("role", "img")
    root.set("aria-label", description)
    _place_labels(root)
    for parent in list(root.iter()):
        for child in list(parent):
            if _is_unwanted(parent, child):
                parent.remove(child)
    return root


def _is_unwanted(parent: Node, child: Node) -> bool:
    """Tells whether a node is of no use without pygal's script, or would show on hovering what nobody asked for."""
    if callable(child.tag):  # a comment
        return True
    is_title = child.tag == "title" and "dots" not in parent.get("class", "")
    return is_title or child.tag in ("script", "desc") or "tooltip-overlay" in child.get("class", "")


def _place_labels(root: Node) -> None:
    """Writes each point's label beside it where it hides neither another point nor another label."""
    layers = [node for node in root.iter("g") if "text-overlay" in node.get("class", "").split()]
    frames = [node for node in root.iter("rect") if node.get("class") == "background"]
    points = list(_points(root))
    if not layers or not frames or not points:
        return
    plot = frames[-1]
    area = Box(left=0, top=0, right=float(plot.get("width")), bottom=float(plot.get("height")))
    taken = [Box(left=x - r, top=y - r, right=x + r, bottom=y + r) for x, y, r, _ in points]
    n_placed = 0
    for x, y, radius, label in points:
        if not label or n_placed == MAX_LABELS:
            continue
        shown = label if len(label) <= MAX_LABEL_LENGTH else label[: MAX_LABEL_LENGTH - 1] + "…"
        for anchor, box in _places(x, y, radius + 3, CHARACTER_WIDTH * len(shown)):
            if area.holds(box) and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                n_placed += 1
                across = {"start": box.left, "middle": (box.left + box.right) / 2, "end": box.right}[anchor]
                attributes = {"x": f"{across:.1f}", "y": f"{box.bottom - 4:.1f}", "text-anchor": anchor}
                text = layers[0].makeelement("text", {**attributes, "style": LABEL_STYLE})
                text.text = shown
                layers[0].append(text)
                break


def _points(root: Node) -> Iterator[tuple[float, float, float, str]]:
    """Yields x, y, radius and label ("" for none) of every point drawn."""
    for group in root.iter("g"):
        if group.get("class") != "dots":
            continue
        circle = group.find("circle")
        if circle is None:
            continue
        label = next((node.text or "" for node in group.findall("desc") if node.get("class") == "label"), "")
        yield float(circle.get("cx")), float(circle.get("cy")), float(circle.get("r")), label


def _places(x: float, y: float, gap: float, width: float) -> Iterator[tuple[str, Box]]:
    """Yields how a label of that width may be anchored around a point, and its box, the best place first."""
    half, height = width / 2, FONT_SIZE + 3
    diagonal = 0.7 * gap
    for anchor, left, top in (
        ("start", x + gap, y - height / 2),
        ("end", x - gap - width, y - height / 2),
        ("middle", x - half, y - gap - height),
        ("middle", x - half, y + gap),
        ("start", x + diagonal, y - diagonal - height),
        ("start", x + diagonal, y + diagonal),
        ("end", x - diagonal - width, y - diagonal - height),
        ("end", x - diagonal - width, y + diagonal),
        ("end", x + gap - width, y - gap - height),
        ("end", x + gap - width, y + gap),
        ("start", x - gap, y - gap - height),
        ("start", x - gap, y + gap),
    ):
        yield anchor, Box(left=left, top=top, right=left + width, bottom=top + height)
