"""Other machines that play a role in a run.

In: who plays which role and how it is reached. Out: command lines that start our processes there,
and an agent there for what only the machine itself can tell or do. Nothing stays on a host.
"""

PLACES = {
    "read": "asyncdb_bench.extensions.hosts.hosts_file:read_hosts",
    "misfits": "asyncdb_bench.extensions.hosts.hosts_file:misfits",
    "reach": "asyncdb_bench.extensions.hosts.reached_hosts:ReachedHosts",
}
