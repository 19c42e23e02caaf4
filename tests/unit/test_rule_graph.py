"""The graph of rules in README."""

import re

import pytest

from understanding_bn.docs_pages import rule_graph


@pytest.fixture
def drawn(tmp_path):
    """Draws a graph; returns its boxes, {name: members}, and its edges."""

    def draw(*edges):
        names = sorted({name for edge in edges for name in edge})
        lines = [f"\tid{number}[{name}]" for number, name in enumerate(names)]
        lines += [f"\tstyle id{number} fill:#D95757" for number in range(len(names))]
        lines += [f"\tid{names.index(start)} --> id{names.index(end)}" for start, end in edges]
        (tmp_path / "rules.mmd").write_text("\n".join(["---", "title: DAG", "---", "flowchart TB", *lines]))
        text = rule_graph.diagram(tmp_path / "rules.mmd")
        boxes = {name: members.split("<br>") for name, members in re.findall(r'  (\w+)\["(.*)"\]', text)}
        return boxes, re.findall(r"  (\w+) --> (\w+)", text)

    return draw


def test_what_a_longer_way_leads_to_has_no_edge_of_its_own(drawn):
    assert drawn(("data", "train"), ("train", "fig"), ("data", "fig"))[1] == [("data", "train"), ("train", "fig")]


def test_rules_with_the_same_neighbours_share_a_box(drawn):
    edges = [("train", "fig1"), ("train", "fig2"), ("fig1", "all"), ("fig2", "all"), ("data", "train"), ("train", "x")]
    boxes, arrows = drawn(*edges)
    assert boxes == {"all": ["all"], "data": ["data"], "train": ["train"], "fig1": ["fig1", "fig2"], "x": ["x"]}
    assert arrows == [("data", "train"), ("fig1", "all"), ("train", "fig1"), ("train", "x")]
