"""The graph of the rules for README, from what `snakemake --rulegraph mermaid-js` says of the quick preset."""

import re
from collections import defaultdict
from pathlib import Path

Edges = set[tuple[str, str]]


def diagram(kept: Path) -> str:
    """A Mermaid block of the rules; those that start from the same rules and lead to the same are one node.

    An edge is left out where a longer way leads to the same rule, as for all that the report shows.
    """
    text = kept.read_text(encoding="utf-8")
    names = dict(re.findall(r"^\s*(id\d+)\[(\w+)\]", text, re.M))
    edges = {(names[start], names[end]) for start, end in re.findall(r"(id\d+) --> (id\d+)", text)}
    edges = {edge for edge in edges if not _reaches(edges - {edge}, *edge)}
    alike = defaultdict(list)
    for name in sorted(names.values()):
        before = frozenset(start for start, end in edges if end == name)
        after = frozenset(end for start, end in edges if start == name)
        alike[before, after].append(name)
    group = {name: members[0] for members in alike.values() for name in members}
    lines = [f'  {members[0]}["{"<br>".join(members)}"]' for members in sorted(alike.values())]
    lines += [f"  {start} --> {end}" for start, end in sorted({(group[start], group[end]) for start, end in edges})]
    return "\n".join(["", "```mermaid", "flowchart LR", *lines, "```", ""])


def _reaches(edges: Edges, start: str, end: str) -> bool:
    """Whether edges lead from one rule to another."""
    return any(begin == start and (to == end or _reaches(edges, to, end)) for begin, to in edges)
