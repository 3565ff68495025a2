"""What a variant takes to deploy: parts, packages, cold start, and what breaks when a part dies."""

AFTER_TURNS = {
    "deployment": "asyncdb_bench.extensions.deployment.deployment:measure_deployments",
}
RECORDS = {
    "deployment.jsonl": "asyncdb_bench.extensions.deployment.section:Deployment",
}
SECTIONS = {
    "deployment": "asyncdb_bench.extensions.deployment.section:deployment_tables",
}
