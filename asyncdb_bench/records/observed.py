"""What was seen of processes and database during one step, from outside."""

from __future__ import annotations

from dataclasses import dataclass, field

from asyncdb_bench.records.step import Threads, Usage


@dataclass(frozen=True, slots=True)
class Work:
    """Explicitly committed transactions, and rows returned or changed by statements."""

    commits: int
    rows: int

    def __sub__(self, earlier: Work) -> Work:
        return Work(self.commits - earlier.commits, self.rows - earlier.rows)


@dataclass
class Observed:
    """What was seen during one step.

    `stolen` is the share of the CPU time asked for that a hypervisor took, `others_cores` how many
    cores processes used that are not of the run; `work` is what the
    database counted meanwhile, None where it does not tell; `problem` says why it could not be
    watched, or not to the end; `broken` that it was restarted or ended sessions meanwhile.
    """

    usage: dict[str, Usage] = field(default_factory=dict)
    threads: Threads | None = None
    loopback_bytes: int | None = None
    stolen: float = 0.0
    others_cores: float = 0.0
    connections: list[tuple[int, int]] = field(default_factory=list)
    rows: list[tuple[int, str, float]] = field(default_factory=list)
    work: Work | None = None
    problem: str = ""
    broken: str = ""

    @property
    def connections_peak(self) -> int | None:
        """The most connections that were open."""
        return max((total for total, _ in self.connections), default=None)

    @property
    def connections_active_peak(self) -> int | None:
        """The most that were busy at once."""
        return max((active for _, active in self.connections), default=None)

    @property
    def connections_active_mean(self) -> float | None:
        """How many were busy on average."""
        if not self.connections:
            return None
        return sum(active for _, active in self.connections) / len(self.connections)
