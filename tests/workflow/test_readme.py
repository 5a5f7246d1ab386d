"""The README's diagram shows the pipeline as the rules have it."""

import itertools
import re

from tests.workflow.repository import ROOT, snakemake


def test_the_diagram_is_the_rule_graph_between_the_rules_that_it_shows():
    """A node's name is a rule. Two nodes have an arrow where one rule needs the other, and no shown rule lies between them."""
    diagram = (ROOT / "README.md").read_text(encoding="utf-8").split("```mermaid")[1].split("```")[0]
    shown = set(re.findall(r"(\w+)[\[(]", diagram))
    chains = [re.findall(r"(?:^|-->)\s*(\w+)", line) for line in diagram.splitlines() if "-->" in line]
    arrows = {pair for chain in chains for pair in itertools.pairwise(chain)}

    graph = snakemake(ROOT, "--rulegraph").stdout
    names = dict(re.findall(r'(\d+)\[label = "(\w+)"', graph))
    needed = {name: set() for name in names.values()}
    for before, after in re.findall(r"(\d+) -> (\d+)", graph):
        needed[names[after]].add(names[before])

    def nearest(rule):
        """Shown rules that a rule needs, directly or by way of rules that are not shown."""
        found = set()
        for one in needed[rule]:
            found |= {one} if one in shown else nearest(one)
        return found

    def all_before(rule):
        return set().union(*({one} | all_before(one) for one in nearest(rule)))

    assert shown <= set(needed), f"no rules: {shown - set(needed)}"
    wanted = {
        (one, rule)
        for rule in shown
        for one in nearest(rule)
        if not any(one in all_before(other) for other in nearest(rule) - {one})
    }
    assert arrows == wanted
