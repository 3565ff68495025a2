"""Options that several verbs share, as dataclasses whose fields become options of a command."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
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
    from asyncdb_bench.plan.registry import names

    return completed(names("strategies"), incomplete)


def scenarios(incomplete: str) -> list[str]:
    """Complete scenarios."""
    from asyncdb_bench.plan.registry import names

    return completed(names("scenarios"), incomplete)


def profiles(incomplete: str) -> list[str]:
    """Complete profiles."""
    from asyncdb_bench.plan.profiles import read_profiles

    return completed(read_profiles(), incomplete)


@dataclass(frozen=True)
class RequestOptions:
    """What to measure, and how."""

    strategy: Annotated[
        str | None,
        typer.Option(
            help="a,b:knob=value,…, or all (default: the profile's)", autocompletion=strategies
        ),
    ] = None
    scenario: Annotated[
        str | None,
        typer.Option(help="x,y:knob=value,… (default: the profile's)", autocompletion=scenarios),
    ] = None
    vary: Annotated[
        list[str] | None,
        typer.Option(help="strategy:knob=1,2,4: a curve over one knob (app:processes=1,2: of all)"),
    ] = None
    profile: Annotated[
        str,
        typer.Option(
            help="smoke, quick, standard, nightly, blog, sweep (default: quick; sweep for a sweep)",
            autocompletion=profiles,
        ),
    ] = ""
    seed: Annotated[int | None, typer.Option(help="repeat the arrivals of another run", min=0)] = (
        None
    )
    blocks: Annotated[int | None, typer.Option(help="rounds of trials over all variants")] = None
    budget: Annotated[int | None, typer.Option(help="database connections per strategy")] = None
    time_budget: Annotated[
        float | None, typer.Option(help="seconds that the whole run may take; 0: no limit")
    ] = None
    cpus: Annotated[
        str | None,
        typer.Option(
            help="auto, off, 0-1/2/3: system/services/load, or 0/1/2/3: with workers second"
        ),
    ] = None
    deployment: Annotated[
        bool | None,
        typer.Option(
            help="measure what each variant takes to deploy, too (default: the profile's)"
        ),
    ] = None
    rounds: Annotated[
        int | None, typer.Option(help="rounds of turns in each block (default: the profile's)")
    ] = None
    connections: Annotated[
        int | None, typer.Option(help="of the closed loop that measures the pace (default: 32)")
    ] = None
    ladder: Annotated[
        bool | None,
        typer.Option(
            "--ladder/--turns", help="climb each variant's ladder alone, instead of taking turns"
        ),
    ] = None
    rtt: Annotated[
        float | None,
        typer.Option(help="ms from the application to the database; 0: as it is", metavar="MS"),
    ] = None
    broker_rtt: Annotated[
        float | None, typer.Option(help="ms to the broker; 0: as it is", metavar="MS")
    ] = None
    via: Annotated[str | None, typer.Option(help="direct, or pgbouncer (transaction mode)")] = None
    tls: Annotated[
        bool | None, typer.Option("--tls/--no-tls", help="encrypt connections to the database")
    ] = None
    load_processes: Annotated[
        int | None,
        typer.Option(help="Locust workers that offer the load from here (default: 1)", min=0),
    ] = None
    expect_load_workers: Annotated[
        int | None,
        typer.Option(help="further ones, started elsewhere with `load-worker`", min=0),
    ] = None
    load_master: Annotated[
        str | None,
        typer.Option(help="HOST:PORT where load workers come to (default: 5557)", metavar="ADDR"),
    ] = None
    address: Annotated[
        str | None,
        typer.Option(help="where the application listens (default: 127.0.0.1)", metavar="HOST"),
    ] = None
    locust_web: Annotated[
        int | None,
        typer.Option(help="show Locust's own page on this port of loopback", min=0, max=65535),
    ] = None
    hosts: Annotated[
        Path | None,
        typer.Option(help="file of the machines that play a role, see docs/hosts.md"),
    ] = None
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="an application of yours instead of strategies: URL, NAME=URL, NAME of"
            " [targets.NAME] in bench.toml, NAME@CHECKOUT; again for each",
        ),
    ] = None
    target_pid: Annotated[
        list[str] | None,
        typer.Option(help="NAME=PID[,PID]: a target's processes (default: who listens there)"),
    ] = None
    yes_i_own_it: Annotated[
        bool, typer.Option("--yes-i-own-it", help="load a target that is not of this machine")
    ] = False
    inject: Annotated[
        str, typer.Option(help="a fault beside each variant: delay_ms=2, cpu_ms=1, pool=6")
    ] = ""

    def choices(self) -> Choices:
        """Return what is asked for."""
        from asyncdb_bench.plan.reach import takes_no_distance
        from asyncdb_bench.plan.request import Choices

        return Choices(
            profile=self.profile,
            strategies=self.strategy or None,
            scenarios=self.scenario or None,
            seed=self.seed,
            overrides={
                "blocks": self.blocks,
                "budget": self.budget,
                "time_budget_s": self.time_budget,
                "cpus": self.cpus,
                "deployment": self.deployment,
                "rounds": self.rounds,
                "connections": self.connections,
                "ladder": self.ladder,
                "ladder_blocks": self.blocks,
                "rtt_ms": self.rtt,
                "broker_rtt_ms": self.broker_rtt,
                "via": self.via,
                "tls": self.tls,
                "load_processes": self.load_processes,
                "expect_load_workers": self.expect_load_workers,
                "load_master": self.load_master,
                "address": self.address,
                "locust_web": self.locust_web,
            },
            vary=self.vary or (),
            inject=self.inject,
            targets=self.target or (),
            pids=self.target_pid or (),
            owned=self.yes_i_own_it,
            hosts=self.hosts,
            # a target's own DATABASE_URL is none of ours
            far=not self.target and takes_no_distance(os.environ.get("DATABASE_URL", "")),
        )


@dataclass(frozen=True)
class FolderOptions:
    """Where results and reports lie."""

    results: Annotated[Path, typer.Option(help="folder of results")] = Path("results")
    reports: Annotated[Path, typer.Option(help="folder of reports")] = Path("reports")

    def places(self) -> Places:
        """Return the folders, absolute."""
        from asyncdb_bench.whole_run import Places

        return Places(self.results.resolve(), self.reports.resolve())


@dataclass(frozen=True)
class DebugOption:
    """Read by :func:`asyncdb_bench.cli.main.main` for all verbs."""

    debug: Annotated[bool, typer.Option("--debug", help="show a traceback with an error")] = field(
        default=False
    )


def flattened(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that takes the fields of its dataclass parameters as options.

    Parameters
    ----------
    command : whose parameters are annotated with dataclasses of this module, or are options of its
        own; every command gets :class:`DebugOption` besides.
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

    @functools.wraps(command)
    def called(**given: Any) -> None:
        made = {
            name: group(**{f.name: given.pop(f.name) for f in dataclasses.fields(group)})
            for name, group in groups.items()
        }
        given.pop("debug", None)
        command(**given, **made)

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
