"""Fill the numbers of README and docs from the kept records in results/reference.

A page is written by hand, but for three kinds of places. Each names a function and its arguments, as a shell would
read them; the first argument is mostly a preset, whose record is read:

- `<!-- BEGIN moves open-questions: … -->` to `<!-- END moves -->` on lines of their own: a block, such as a table;
- `<!-- n seeds quick -->3<!-- /n -->` within a sentence: a value;
- `<!-- check verdict quick 5 = reproduced -->`: nothing is written. Filling fails if the record no longer supports the
  sentence that stands there.

A YAML file has a mark at the end of a line, `… 77 minutes  # n minutes cifar10-init`: its value is the last number
before it.
"""

import inspect
import re
import shlex
from collections.abc import Callable
from pathlib import Path

from understanding_bn import files
from understanding_bn.docs_pages import (
    batch_size_page,
    conditioning_page,
    costs,
    images,
    noise_page,
    paper_scale,
    results_page,
    rule_graph,
    speed_page,
    values,
    verdict_changes,
)
from understanding_bn.errors import UserError
from understanding_bn.report.verify import words

Text = Callable[..., str]


def _of_record(text: Text) -> Text:
    """The function on a preset's folder, as one on the folder of all records and the preset's name."""

    def of_preset(reference: Path, preset: str, *arguments: str) -> str:
        folder = reference / preset
        if not folder.is_dir():
            raise UserError(f"{folder}: no such record; run that preset and `make record`")
        return _apply(text, folder, *arguments)

    return of_preset


BLOCKS: dict[str, Text] = {
    "origin": _of_record(costs.origin),
    "costs": costs.costs,
    "plans": costs.plans,
    "scale": costs.scale,
    "rules": lambda reference: rule_graph.diagram(reference / "rules.mmd"),
    "verdicts": results_page.verdicts,
    "claims": results_page.claims,
    "story": results_page.story,
    "preconditions": results_page.preconditions,
    "roles": results_page.roles,
    "verdict_changes": verdict_changes.verdict_changes,
    "lossy_images": images.lossy_images,
    "nearness": lambda reference: words.rules(),
    "conditions": results_page.conditions,
    "resnet_110": results_page.resnet_110,
    "accuracies": _of_record(results_page.accuracies),
    "checks": _of_record(paper_scale.checks),
    "kept_table": _of_record(paper_scale.kept_table),
    "relative_loss": _of_record(paper_scale.relative_loss),
    "channel_moments": _of_record(paper_scale.channel_moments),
    "max_alpha": _of_record(paper_scale.max_alpha),
    "moves": _of_record(batch_size_page.moves),
    "noise_at_losses": _of_record(noise_page.noise_at_losses),
    "noise_turns": _of_record(noise_page.noise_turns),
    "correlations": _of_record(noise_page.correlations),
    "small_steps": _of_record(batch_size_page.small_steps),
    "conditioning_changes": _of_record(conditioning_page.conditioning_changes),
    "comparators": _of_record(conditioning_page.comparators),
    "followups": results_page.followups,
    "speed_steps": speed_page.block("train-cpu", speed_page.steps),
    "speed_gpu": speed_page.block("engine", speed_page.engine),
    "speed_bfloat16": speed_page.block("bfloat16-cpu", speed_page.bfloat16),
    "speed_precision": speed_page.block("precision-cpu", speed_page.precision),
    "speed_neighbour": speed_page.block("neighbour-cpu", speed_page.neighbour),
    "speed_memory": speed_page.block("memory-cpu", speed_page.memory),
    "speed_images": speed_page.images,
    "speed_start": speed_page.block("start", speed_page.start),
    "speed_products": speed_page.block("hvp", speed_page.products),
}

# What sentences hold, or rest on: every public function of `values`.
VALUES: dict[str, Text] = {
    name: _of_record(function)
    for name, function in inspect.getmembers(values, inspect.isfunction)
    if function.__module__ == values.__name__ and not name.startswith("_")
}

_BLOCK = re.compile(
    r"(?P<begin><!-- BEGIN (?P<call>(?P<name>\w+)[^:\n]*?)(?::[^\n]*)? -->\n)"
    r"(?:(?!<!-- (?:BEGIN|END)).)*(?P<end><!-- END (?P=name) -->)",
    re.S,
)
_VALUE = re.compile(r"(?P<begin><!-- n (?P<call>[^\n]+?) -->)(?:(?!<!--).)*(?P<end><!-- /n -->)")
_CHECK = re.compile(r"<!-- check (?P<call>[^\n]+?) = (?P<expected>[^\n]+?) -->")
_YAML_VALUE = re.compile(r"(?P<begin>^[^\n#]*?)\d+(?P<end>[^\d\n#]*  # n (?P<call>[^\n]+)$)", re.M)
_YAML_MARK = re.compile(r"  # n [^\n]+")
_MARK = re.compile(r"<!-- (?:BEGIN|END|n|/n|check)\b[^\n]*?-->")


def fill(page: Path, reference: Path) -> None:
    """Rewrite the blocks and values of a page from the records in results/reference; check what it says about them.

    Raises:
        UserError: a mark is incomplete, names nothing, or has other arguments than its function; a record lacks what it
            asks for; a check fails. The page is left as it was.
    """
    text = page.read_text(encoding="utf-8")
    value_mark, any_mark = (_YAML_VALUE, _YAML_MARK) if page.suffix == ".yml" else (_VALUE, _MARK)
    try:
        text = _filled(text, _BLOCK, BLOCKS, reference)
        text = _filled(text, value_mark, VALUES, reference)
        for mark in _CHECK.finditer(text):
            value = _look_up(VALUES, mark["call"], reference)
            if value != mark["expected"]:
                raise UserError(f"{mark[0]} fails, the record says {value!r}; rewrite the sentence that rests on it")
        rest = _CHECK.sub("", value_mark.sub("", _BLOCK.sub("", text)))
        if stray := any_mark.search(rest):
            raise UserError(f"{stray[0]} is not complete; expected a matching begin and end")
    except UserError as error:
        raise UserError(f"{page}: {error}") from None
    files.write_text(page, text)


def _filled(text: str, pattern: re.Pattern[str], registry: dict[str, Text], reference: Path) -> str:
    """The text with what the records say now between the begin and the end of every mark of a kind."""
    return pattern.sub(lambda mark: mark["begin"] + _look_up(registry, mark["call"], reference) + mark["end"], text)


def _look_up(registry: dict[str, Text], call: str, reference: Path) -> str:
    """What the function of a mark says."""
    try:
        name, *arguments = shlex.split(call)
    except ValueError as error:
        raise UserError(f"{call!r} cannot be read ({error})") from None
    if name not in registry:
        raise UserError(f"{name!r} has no meaning; expected one of {', '.join(registry)}")
    try:
        return _apply(registry[name], reference, *arguments)
    except UserError as error:
        raise UserError(f"{call!r}: {error}") from None


def _apply(text: Text, folder: Path, *arguments: str) -> str:
    try:
        inspect.signature(text).bind(folder, *arguments)
    except TypeError as error:
        expected = ", ".join(list(inspect.signature(text).parameters)[1:]) or "none"
        raise UserError(f"{error}; expected arguments: {expected}") from None
    return text(folder, *arguments)
