"""Options that several verbs share, as dataclasses whose fields become options of a command."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
import sys
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from asyncdb_bench.plan.request import Choices
    from asyncdb_bench.whole_run import Places


def completed(known: Iterable[str], incomplete: str) -> list[str]:
    """Return a list of names with its last one completed.

    Parameters
    ----------
    known : the names.
    incomplete : ``a,b:knob=1,c``.
    """
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{each}" for each in known if each.startswith(last)]


def strategies(incomplete: str) -> list[str]:
    """Complete strategies."""
    from asyncdb_bench.plan.registry import groups, known

    return completed([*known("strategies"), *groups("strategies")], incomplete)


def scenarios(incomplete: str) -> list[str]:
    """Complete scenarios."""
    from asyncdb_bench.plan.registry import known

    return completed(known("scenarios"), incomplete)


def profiles(incomplete: str) -> list[str]:
    """Complete profiles."""
    from asyncdb_bench.plan.profiles import read_profiles

    return completed(read_profiles(), incomplete)


# groups of options that `--help-all` shows
measuring = functools.partial(typer.Option, rich_help_panel="how long and how it is measured")
services = functools.partial(typer.Option, rich_help_panel="how the services are reached")
load = functools.partial(typer.Option, rich_help_panel="where load and application run")
targets = functools.partial(typer.Option, rich_help_panel="applications of your own")


@dataclass(frozen=True)
class RequestOptions:
    """What to measure, and how."""

    strategy: Annotated[
        str | None,
        typer.Option(
            help="a,b:knob=value,…, or all (default: the profile's)",
            metavar="NAMES",
            autocompletion=strategies,
        ),
    ] = None
    scenario: Annotated[
        str | None,
        typer.Option(
            help="x,y:knob=value,… (default: the profile's)",
            metavar="NAMES",
            autocompletion=scenarios,
        ),
    ] = None
    profile: Annotated[
        str,
        typer.Option(
            help="one that `list` names (default: quick)", metavar="NAME", autocompletion=profiles
        ),
    ] = ""
    vary: Annotated[
        list[str] | None,
        typer.Option(
            help="strategy:knob=1,2,4: a curve over one knob (app:… for all); may be repeated",
            metavar="KNOB",
        ),
    ] = None
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="your application: [NAME=]URL, NAME[@CHECKOUT] in bench.toml; may be repeated",
            metavar="TARGET",
        ),
    ] = None
    time_budget: Annotated[
        float | None, typer.Option(help="seconds that the run may take; 0: no limit", metavar="S")
    ] = None
    budget: Annotated[
        int | None, typer.Option(help="database connections per strategy", metavar="N")
    ] = None
    rtt: Annotated[
        float | None,
        typer.Option(help="ms from the application to the database; 0: as it is", metavar="MS"),
    ] = None
    seed: Annotated[
        int | None, measuring(help="repeat the arrivals of another run", metavar="N", min=0)
    ] = None
    blocks: Annotated[
        int | None, measuring(help="launches of all variants at most", metavar="N")
    ] = None
    rounds: Annotated[
        int | None,
        measuring(help="rounds of turns in each block (default: the profile's)", metavar="N"),
    ] = None
    connections: Annotated[
        int | None,
        measuring(help="of the closed loop that measures the pace (default: 32)", metavar="N"),
    ] = None
    ladder: Annotated[
        bool | None,
        measuring(
            "--ladder/--turns", help="climb each variant's ladder alone, instead of taking turns"
        ),
    ] = None
    deployment: Annotated[
        bool | None,
        measuring(help="measure what each variant takes to deploy, too (default: the profile's)"),
    ] = None
    inject: Annotated[
        str,
        measuring(
            help="a fault beside each variant: delay_ms=2, cpu_ms=1, pool=6", metavar="FAULT"
        ),
    ] = ""
    broker_rtt: Annotated[
        float | None, services(help="ms to the broker; 0: as it is", metavar="MS")
    ] = None
    via: Annotated[
        str | None, services(help="direct, or pgbouncer (transaction mode)", metavar="WAY")
    ] = None
    tls: Annotated[
        bool | None, services("--tls/--no-tls", help="encrypt connections to the database")
    ] = None
    cpus: Annotated[
        str | None,
        load(
            help="auto, off, 0-1/2/3: system/services/load, or 0/1/2/3: with workers second",
            metavar="CORES",
        ),
    ] = None
    load_processes: Annotated[
        int | None,
        load(help="Locust workers that offer the load from here (default: 1)", metavar="N", min=0),
    ] = None
    expect_load_workers: Annotated[
        int | None,
        load(help="further ones, started elsewhere with `load-worker`", metavar="N", min=0),
    ] = None
    load_master: Annotated[
        str | None,
        load(help="HOST:PORT where load workers come to (default: 5557)", metavar="ADDR"),
    ] = None
    address: Annotated[
        str | None, load(help="where the application listens (default: 127.0.0.1)", metavar="HOST")
    ] = None
    locust_web: Annotated[
        int | None,
        load(
            help="show Locust's own page on this port of loopback", metavar="PORT", min=0, max=65535
        ),
    ] = None
    hosts: Annotated[
        Path | None, load(help="the machines that play a role, see docs/hosts.md", metavar="FILE")
    ] = None
    target_pid: Annotated[
        list[str] | None,
        targets(
            help="NAME=PID[,PID]: a target's processes (default: who listens there)", metavar="PIDS"
        ),
    ] = None
    yes_i_own_it: Annotated[
        bool, targets("--yes-i-own-it", help="load a target that is not of this machine")
    ] = False
    cache: Annotated[
        Path | None,
        measuring(
            help="folder of the environments for named versions, native@asyncpg==0.29.0",
            metavar="DIR",
        ),
    ] = None

    def choices(self) -> Choices:
        """Return what is asked for."""
        from asyncdb_bench.plan.reach import takes_no_distance
        from asyncdb_bench.plan.request import Choices

        return Choices(
            profile=self.profile,
            strategies=self.strategy or None,
            scenarios=self.scenario or None,
            seed=self.seed,
            overrides={setting: getattr(self, name) for setting, name in SETTINGS.items()},
            vary=self.vary or (),
            inject=self.inject,
            targets=self.target or (),
            pids=self.target_pid or (),
            owned=self.yes_i_own_it,
            hosts=self.hosts,
            # a target's own DATABASE_URL is none of ours
            cache=self.cache,
            far=not self.target and takes_no_distance(os.environ.get("DATABASE_URL", "")),
        )


SETTINGS = {
    "time_budget_s": "time_budget",
    "rtt_ms": "rtt",
    "broker_rtt_ms": "broker_rtt",
    "ladder_blocks": "blocks",
    **{
        name: name
        for name in (
            *("budget", "blocks", "rounds", "connections", "ladder", "deployment"),
            *("via", "tls", "cpus", "load_processes", "expect_load_workers", "load_master"),
            *("address", "locust_web"),
        )
    },
}
"""Settings of a profile that an option overrides -> the option's field."""


@dataclass(frozen=True)
class FolderOptions:
    """Where results and reports lie."""

    results: Annotated[Path, typer.Option(help="folder of results", metavar="DIR")] = Path(
        "results"
    )
    reports: Annotated[Path, typer.Option(help="folder of reports", metavar="DIR")] = Path(
        "reports"
    )

    def places(self) -> Places:
        """Return the folders, absolute."""
        from asyncdb_bench.whole_run import Places

        return Places(self.results.resolve(), self.reports.resolve())


HELP_ALL = "asyncdb_bench.help_all"


def show_help_all(context: typer.Context, asked: bool) -> None:
    """Print the help with the options of all groups, where it is asked for, and end."""
    if asked:
        context.meta[HELP_ALL] = True
        print(context.get_help())
        raise typer.Exit


@dataclass(frozen=True)
class DebugOption:
    """Read by :func:`asyncdb_bench.cli.entry.main` for all verbs."""

    debug: Annotated[bool, typer.Option("--debug", help="show a traceback with an error")] = False


@dataclass(frozen=True)
class HelpAllOption:
    """Of commands whose options are in groups."""

    help_all: Annotated[
        bool,
        typer.Option(
            "--help-all", help="show all options and end", is_eager=True, callback=show_help_all
        ),
    ] = False


def flattened(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that takes the fields of its dataclass parameters as options.

    Parameters
    ----------
    command : whose parameters are annotated with dataclasses of this module, or are options of its
        own; every command gets :class:`DebugOption` besides, and :class:`HelpAllOption` where it
        takes :class:`RequestOptions`.
    """
    hints = typing.get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {
        name: hint for name, hint in hints.items() if dataclasses.is_dataclass(hint)
    }
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name in groups:
            parameters += _fields(groups[name])
        else:
            kind = inspect.Parameter.KEYWORD_ONLY
            parameters.append(parameter.replace(annotation=hints[name], kind=kind))
    parameters += _fields(DebugOption)
    if RequestOptions in groups.values():
        parameters += _fields(HelpAllOption)

    @functools.wraps(command)
    def called(**given: Any) -> None:
        made = {
            name: group(**{f.name: given.pop(f.name) for f in dataclasses.fields(group)})
            for name, group in groups.items()
        }
        given.pop("debug", None)
        given.pop("help_all", None)
        try:
            command(**given, **made)
        except KeyboardInterrupt:
            # typer ends without a word
            from asyncdb_bench.errors import EXIT_INTERRUPTED

            print("interrupted", file=sys.stderr)
            raise typer.Exit(EXIT_INTERRUPTED) from None

    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {each.name: each.annotation for each in parameters}
    return called


def _fields(group: Any) -> list[inspect.Parameter]:
    hints = typing.get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=each.default,
            annotation=hints[each.name],
        )
        for each in dataclasses.fields(group)
    ]
