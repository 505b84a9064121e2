"""One call of the command line: the options that every command takes, and commands that take them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from interlock.errors import UsageError

if TYPE_CHECKING:
    from interlock.facade import Interlock
    from interlock.remote.remote import Remote
    from interlock.settings import Settings


@dataclass(slots=True, kw_only=True)
class Call:
    """What one call of the command line was given, and what it works on.

    Attributes:
        thread_id: the thread that is being worked on, so that a failure can name it.
        stopped_by: the signal that asked to stop.
    """

    config: Path | None = None
    data_dir: Path | None = None
    url: str | None = None
    server: str | None = None
    as_json: bool = False
    debug: bool = False
    thread_id: str = ""
    stopped_by: int = 0

    @classmethod
    def read(cls, arguments: Sequence[str]) -> Call:
        """Return what is needed before the command is known: how to fail, and where the graphs are."""
        given = list(arguments)
        config = _value_of("--config", given)
        return cls(
            as_json="--json" in given,
            debug="--debug" in given,
            config=Path(config) if config else None,
            server=_value_of("--server", given) or None,
        )

    def settings(self) -> Settings:
        """Return the settings with this call's options over the environment's; raises `UsageError`."""
        from interlock.settings import load

        return load().with_(
            config=self.config,
            data_dir=self.data_dir,
            database_url=self.url,
            server=self.server,
            debug=self.debug or None,
        )

    def given(self) -> list[str]:
        """Return the options that make the same settings in another process."""
        options = {"--config": self.config, "--data-dir": self.data_dir, "--url": self.url}
        said = [f"{name}={value}" for name, value in options.items() if value is not None]
        return [*said, "--debug"] if self.debug else said

    def address(self) -> str:
        """Return the server that this call is about; empty where it is about a database. Raises `UsageError`."""
        if self.server is None:
            return "" if self.url or self.data_dir else self.settings().server
        if self.url or self.data_dir:
            raise UsageError(
                "A call is about a server or about a database.",
                hint="Leave out --server, or --url and --data-dir.",
            )
        return self.server

    @contextmanager
    def runtime(self) -> Iterator[Interlock]:
        """Open the runtime that this call asks for: on a database, or a server's."""
        from interlock.app import open as open_runtime

        if self.address():
            with self.remote() as remote:
                # Which has what commands use of it by name and signature: each method is looked up there.
                yield cast("Interlock", remote)
            return
        with open_runtime(settings=self.settings()) as il:
            yield il

    @contextmanager
    def remote(self) -> Iterator[Remote]:
        """Open the line to the server that this call is about."""
        from interlock.remote.remote import connected

        with connected(self.settings()) as remote:
            yield remote


def this_call() -> Call:
    """Return the call that is being served."""
    return click.get_current_context().ensure_object(Call)


def shared_options() -> list[click.Parameter]:
    """Return the options that every command takes, in front of its name or behind it."""
    return [
        _option("--config", "FILE", "The langgraph.json that names the graphs  [INTERLOCK_CONFIG]"),
        _option("--data-dir", "DIR", "The embedded Postgres's data  [INTERLOCK_DATA_DIR]"),
        _option("--url", "URL", "A Postgres of your own instead  [INTERLOCK_DATABASE_URL]"),
        _option("--server", "URL", "A server instead of a database  [INTERLOCK_SERVER]"),
        _flag("--json", "as_json", "Print one JSON document on standard output."),
        _flag("--debug", "debug", "Show tracebacks  [INTERLOCK_DEBUG]"),
    ]


class Command(click.Command):
    """A command that takes the shared options and lists them last in its help."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # click's signature
        super().__init__(*args, **kwargs)
        self.params.extend(shared_options())

    def invoke(self, ctx: click.Context) -> Any:  # what the command returns
        """Run it, unless it cannot be about what the call is about."""
        _check_place(ctx)
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options, then the shared ones."""
        write_options(self, ctx, formatter)


class Group(click.Group):
    """A group whose commands take the shared options; without a command it is a wrong call, told in one line."""

    command_class = Command
    group_class = type

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # click's signature
        super().__init__(*args, **{"no_args_is_help": False, **kwargs})
        self.params.extend(shared_options())

    def invoke(self, ctx: click.Context) -> Any:  # what the command returns
        """Run it, or its command, unless it cannot be about what the call is about."""
        if ctx.parent is not None and not ctx._protected_args:
            _check_place(ctx)
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, the group's own options, then the shared ones."""
        self.format_commands(ctx, formatter)
        write_options(self, ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with the whole first sentence of each."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, each.get_short_help_str(limit=200)) for name, each in self.commands.items()]
            )


def write_options(
    command: click.Command, ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    """Write a command's options to its help, the shared ones last."""
    records = {each: each.get_help_record(ctx) for each in command.get_params(ctx)}
    for title, shared in (("Options", False), ("Options of every command", True)):
        rows = [row for each, row in records.items() if row and _is_shared(each) is shared]
        if rows:
            with formatter.section(title):
                formatter.write_dl(rows)


def _check_place(ctx: click.Context) -> None:
    from interlock.cli.places import check_place

    check_place(ctx)


def _is_shared(parameter: click.Parameter) -> bool:
    return getattr(parameter, "callback", None) is _remember


def _option(name: str, metavar: str, text: str) -> click.Option:
    kind = str if name in ("--url", "--server") else click.Path(path_type=Path)
    return click.Option(
        [name], metavar=metavar, type=kind, help=text, expose_value=False, callback=_remember
    )


def _flag(name: str, field: str, text: str) -> click.Option:
    return click.Option(
        [name, field], is_flag=True, help=text, expose_value=False, callback=_remember
    )


def _remember(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:  # click's value
    if value:
        setattr(ctx.ensure_object(Call), str(parameter.name), value)


def _value_of(option: str, arguments: Sequence[str]) -> str:
    for number, argument in enumerate(arguments):
        if argument == option and number + 1 < len(arguments):
            return arguments[number + 1]
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
    return ""
