"""The commands: found by name, and only the one that is asked for is imported.

A new command is a file `tune/cli/NAME.py` with a function `NAME` and a tuple `EXAMPLES` of command lines, its name
in `COMMANDS`, and what one does next in `next_step.STEPS`. Such a file imports nothing heavy at its top:
`imagetune --help` imports all of them.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from data.words import quoted
from tune.cli.guard import guarded
from tune.cli.next_step import ends_with_next_step

COMMANDS = (
    "datasets", "models", "spaces", "new", "prepare", "describe", "train", "preview", "search", "status", "stop", "add",
    "set", "results", "report", "retrain", "evaluate", "compare", "export", "latency", "predict", "dashboard", "log",
    "submit", "jobs", "logs", "cancel", "reproduce",
)  # fmt: skip
"""In the order of the help; a name whose file is not there is left out."""

_SETTINGS: dict[str, Any] = {"rich_markup_mode": "rich", "add_completion": False, "pretty_exceptions_enable": False}


class Commands(TyperGroup):
    """Commands that are imported when they are called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all commands."""
        return [name for name in COMMANDS if find_spec(f"tune.cli.{name}")]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command by name; None if there is none."""
        return load(cmd_name) if cmd_name in self.list_commands(ctx) else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments begin with; for an unknown one, the error names the nearest."""
        names = self.list_commands(ctx)
        if args[0] not in names:
            close = get_close_matches(args[0], names, n=1)
            hint = f"did you mean {close[0]}? T" if close else "t"
            ctx.fail(f"no command {quoted(args[0])}; {hint}he commands are {', '.join(names)}")
        return super().resolve_command(ctx, args)


def load(name: str) -> Any:
    """Import a command and dress it: errors as lines, examples at the end of its help."""
    module = import_module(f"tune.cli.{name}")
    command, single = getattr(module, name), typer.Typer(**_SETTINGS)
    dressed = guarded(ends_with_next_step(name, command, options_of))
    single.command(name, help=_paragraphs(command.__doc__), epilog=_examples(module.EXAMPLES))(dressed)
    return typer.main.get_command(single)


def options_of(name: str) -> set[str]:
    """The options of a command, such as `--out`; empty if there is no such command."""
    return {"--help", *(word for one in load(name).params for word in one.opts)} if name in COMMANDS else set()


def _paragraphs(docstring: str) -> str:
    """A docstring with a line per paragraph: typer would keep the line breaks of all but the first."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in docstring.split("\n\n"))


def _examples(lines: tuple[str, ...]) -> str:
    # An empty line between lines: typer joins what is not apart. `[` would open a tag of rich's markup.
    return "\n\n".join(["[bold]Examples[/bold]", *(f"  {line}".replace("[", "\\[") for line in lines)])


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    epilog=_examples(("imagetune spaces", "imagetune describe classifier cnn_layers=5", "imagetune prepare digits")),
    **_SETTINGS | {"add_completion": True},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from tune.runs.versions import imagetune_version

        typer.echo(f"imagetune {imagetune_version()}")
        raise typer.Exit


@app.callback()
def imagetune(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Search the hyperparameters of image models, keep the record, and turn the winners into trained models."""
