"""The table of docs/verdicts.md: kept verdicts of the bootstrap's time, and those of today's rules."""

from pathlib import Path
from typing import Any

import pandas as pd

from understanding_bn import files
from understanding_bn.claims.checks import OPPOSITE
from understanding_bn.docs_pages import markdown, records

EARLIER = "earlier-verdicts.json"  # {preset: {claim: {"verdict", "measure", "interval"}}}, in results/reference


def verdict_changes(reference: Path) -> str:
    """Every claim of each record whose verdict is another one today, and why; a row for those that changed alike."""
    earlier = files.read_json(reference / EARLIER)
    changed: dict[tuple[str, ...], list[str]] = {}
    for preset in records.kept(reference):
        folder = reference / preset
        for claim in (*records.claims(folder), *records.claims(folder, "followups.json")):
            before = earlier.get(preset, {}).get(str(claim["id"]))
            if before and before["verdict"] != claim["verdict"]:
                verdicts = before["verdict"], claim["verdict"], claim["direction"] or markdown.DASH
                key = (records.named(reference, preset), *verdicts, _why(before, claim))
                changed.setdefault(key, []).append(str(claim["id"]))
    rows = [(record, ", ".join(claims), *rest) for (record, *rest), claims in changed.items()]
    head = ["record", "claims", "until then", "now", "direction", "why"]
    return markdown.table(pd.DataFrame(rows, columns=head)) if rows else "\nNone.\n"


def _why(before: dict[str, Any], claim: dict[str, Any]) -> str:
    """What the rules say of the check that decides now."""
    if claim["note"]:
        return claim["note"]
    if claim["verdict"] == OPPOSITE:
        return f"{claim['measure']}: {markdown.ends(claim['interval'])}, beyond chance the other way"
    if before["measure"] != claim["measure"]:
        return f"what decides is now {claim['measure']}: {markdown.ends(claim['interval'])}"
    now = f"{markdown.ends(claim['interval'])} by {claim['method']}, n = {claim['seeds']}"
    return f"{now}; the bootstrap's was {markdown.ends(before['interval'])}"
