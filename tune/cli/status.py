"""`imagetune status`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from data.words import counted
from tune.cli.options import DEFAULT_OUT, Json, Out, Search, Study
from tune.cli.output import front_text, print_json, show_line, validated, where

if TYPE_CHECKING:
    from tune.record.search_status import SearchStatus

SHOWN = 10  # of what was asked, the latest
EXAMPLES = ("imagetune status digits", "imagetune status digits --json")


def status(search: Search, study: Study = None, out: Out = DEFAULT_OUT, json: Json = False) -> None:
    """Show the state of a search, its trials by status, the best trial so far, and what stop, add and set requested."""
    from tune.record import locate_search
    from tune.record.search_status import search_status
    from tune.spec.files import value_text

    found = search_status(locate_search(search, out, study))
    if json:
        print_json(found.to_dict())
        return
    show_line(f"{found.search}: {found}")
    told = ", ".join(f"{count} {name}" for name, count in found.counts.items() if count)
    there = sum(found.counts.values())
    of = f"{there:,} of " if there <= found.target else ""  # there are more where fewer were asked for meanwhile
    print(f"{of}{counted(max(there, found.target), 'trial')}: {told or 'none yet'}")
    if len(found.nodes) > 1:
        print(f"nodes: {', '.join(map(_node_text, found.nodes))}")
    if found.front is not None:
        _print_front(found)
    elif (best := found.best) is not None:
        print(f"best: trial {best['trial']}, {where(best)}: {validated(best)}")
        config = {key.removeprefix("config."): value for key, value in best.items() if key.startswith("config.")}
        # Fields whose condition does not hold in this trial are left out.
        print("\n".join(f"  {name} = {value_text(value)}" for name, value in config.items() if value is not None))
    if line := spent(found):
        print(line)
    for request in found.requests[-SHOWN:]:
        asked = datetime.fromisoformat(request.asked).astimezone()
        result = request.result or (
            "not done yet" if found.status == "running" else "takes effect at the next --resume"
        )
        print(f"requested {asked:%Y-%m-%d %H:%M:%S} on {request.host}: {request}: {result}")


def spent(found: SearchStatus) -> str:
    """What a search has taken, and what it was expected to take; empty before its first epoch."""
    epochs, seconds = found.took["epochs"], found.took["seconds"]
    if not epochs:
        return ""
    line = f"trained: {counted(int(epochs), 'epoch')} in {seconds:,.0f} s, all trials together"
    if (estimate := found.estimate) is None:
        return line
    told = f"{estimate['epochs']:,} (at most {estimate['most']:,}) in {estimate['seconds']:,.0f} s"
    return f"{line}\nestimated for {counted(estimate['trials'], 'trial')}: {told}"


def _node_text(node: Mapping[str, Any]) -> str:
    running = f", {node['running']} running" if node["running"] else ""
    return f"{node['node']} ({counted(node['trials'], 'trial')}{running})"


def _print_front(found: SearchStatus) -> None:
    """The trials that no other dominates, a line each."""
    assert found.front is not None
    print(front_text(len(found.front), found.hypervolume))
    for row in found.front:
        print(f"  trial {row['trial']}, {where(row)}: {validated(row)}, {row['parameters']:,} parameters")
