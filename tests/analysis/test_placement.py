"""Whether workers share the application's cores, and what a variant does per core and host."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asyncdb_bench.analysis.limits import ceiling, diagnose, picture
from asyncdb_bench.analysis.resources import Where, per_core, placement_of, workers_sentence
from asyncdb_bench.errors import UsageError
from asyncdb_bench.plan.cores import share_out, worker_cores
from asyncdb_bench.plan.request import Spec
from asyncdb_bench.plan.variants import make_variant
from asyncdb_bench.records.plan import Host, Hosts, Pinning, Variant
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.records.step import Percentiles, Step, Turn, Usage
from tests import factories


def variant(name: str, **knobs: str) -> Variant:
    return make_variant(Spec(name, knobs), 8)


def manifest(cpus: str = "0/1/2/3", hosts: Hosts | None = None) -> Manifest:
    pinning = share_out(cpus, range(8)) if cpus else Pinning()
    made = factories.manifest()
    return replace(made, pinning=pinning, plan=replace(made.plan, hosts=hosts or Hosts()))


def test_four_lists_of_cores_give_workers_their_own() -> None:
    four, three = share_out("0/1-2/3/4", range(5)), share_out("0-1/2/3", range(5))
    assert (four.of("app"), four.of("workers")) == ((0,), (1, 2))
    assert (four.of("postgresql"), four.of("broker"), four.of("load")) == ((3,), (3,), (4,))
    assert three.of("app") == three.of("workers") == (0, 1)
    assert worker_cores(four, variant("celery")) == (1, 2)
    assert worker_cores(four, variant("celery", worker_cores="shared")) == (0,)
    for wrong in ("0/1", "0/1/2/3/4", "0/x/1/2", "0/1/2/9"):
        with pytest.raises(UsageError):
            share_out(wrong, range(5))


HOSTS = Hosts(
    (
        Host("a", ("application",), "a", "ssh", cores={"application": (0, 1)}),
        Host("w", ("workers",), "w", "ssh", cores={"workers": (0, 1, 2, 3)}),
    )
)


@pytest.mark.parametrize(
    ("name", "knobs", "cpus", "hosts", "where", "cores", "machines"),
    [
        ("native", {}, "0/1/2/3", None, Where.NONE, 1, 1),
        ("celery", {}, "0/1/2/3", None, Where.OWN, 2, 1),
        ("celery", {"worker_cores": "shared"}, "0/1/2/3", None, Where.SHARED, 1, 1),
        ("celery", {}, "0-1/2/3", None, Where.SHARED, 2, 1),
        ("celery", {}, "", None, Where.ANYWHERE, 0, 1),
        ("celery", {}, "0/1/2/3", HOSTS, Where.HOST, 6, 2),
        ("native", {}, "0/1/2/3", HOSTS, Where.NONE, 2, 1),
    ],
)
def test_where_workers_run_is_known(
    name: str,
    knobs: dict[str, str],
    cpus: str,
    hosts: Hosts | None,
    where: Where,
    cores: int,
    machines: int,
) -> None:
    found = placement_of(variant(name, **knobs), manifest(cpus, hosts))
    assert (found.where, found.cores, found.hosts) == (where, cores, machines)


@pytest.mark.parametrize(
    ("cpus", "said"),
    [
        ("0/1/1", "figures of workers that share the application's core"),
        ("0-1/2/3", "workers that share the application's 2 cores"),
        ("0/1/2/3", "workers on a core of their own"),
        ("0/1/1/1", "workers on a core shared with postgresql, broker and load"),
        ("", "workers that are not pinned"),
    ],
)
def test_the_verdict_says_which_of_the_two_it_means(cpus: str, said: str) -> None:
    ways = [variant("celery"), variant("native"), variant("celery_aio")]
    sentence = workers_sentence(ways, manifest(cpus))
    assert sentence.startswith("celery and celery_aio: the figures of workers ")
    assert said in sentence
    assert workers_sentence([variant("native")], manifest(cpus)) == ""


def pace(name: str, rps: float, app_s: float, workers_s: float = 0.0) -> Step:
    usage = {"app": Usage(app_s, 50, 50, 1)}
    if workers_s:
        usage["workers"] = Usage(workers_s, 50, 50, 8)
    step = factories.step(variant=name, achieved_rps=rps, usage=usage)
    ledger = replace(step.ledger, scheduled=1000, ok=1000, error=0)
    return replace(step, turn=Turn("pace", 0, connections=32), ledger=ledger)


def test_what_is_used_and_what_was_given_are_both_said() -> None:
    made = manifest("0/1/2/3")
    steps = [pace("celery", 900, 0.5, 1.5), pace("celery", 1100, 0.5, 1.5)]
    found = per_core(variant("celery"), steps, made)
    assert found is not None
    assert found.pace_rps == 1000
    assert found.per_core == 500
    assert found.per_host == 1000
    assert found.per_cpu_s == 500
    assert found.per_app_cpu_s == 2000
    away = per_core(variant("celery"), steps, manifest("0/1/2/3", HOSTS))
    assert away is not None
    assert away.per_host == 500
    assert per_core(variant("celery"), [], made) is None


def test_workers_on_cores_of_their_own_are_not_held_against_the_application_s() -> None:
    celery = variant("celery")
    base = pace("celery", 1000, 0.2, 0.95)
    full = Percentiles(1000, mean_ms=9.0)
    step = replace(base, phases={"queue": full}, window_s=1, lasted_s=1, holds=False)
    own, shared = share_out("0/1/2/3", range(4)), share_out("0/1/2", range(4))
    assert diagnose([step], celery, own).bottleneck == "workers"
    assert "and the application" not in diagnose([step], celery, own).evidence
    for pinning, name in ((own, "CPU of workers"), (shared, "CPU of application and workers")):
        limit = ceiling([replace(picture([step]), samples=1000)], celery, pinning)
        assert limit is not None
        assert limit.resource == name
