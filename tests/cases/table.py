"""Which tests hold what users brought. Pure."""

from __future__ import annotations

_SHIPPED = "tests/cli/test_servers_as_shipped.py"
_TABLES = "tests/contract/test_tables.py"
_URL = "tests/contract/test_database_url.py"

CASES: dict[str, tuple[str, ...]] = {
    "broker-skipped": (
        f"{_SHIPPED}::test_a_broker_that_was_named_and_refuses_is_no_missing_contestant",
        f"{_SHIPPED}::test_a_broker_that_knows_another_password_is_named_without_it",
    ),
    "broker-urls": (
        "tests/contract/test_broker_url.py",
        "tests/services/test_encrypted_brokers.py",
        f"{_SHIPPED}::test_what_was_named_and_could_not_be_tried_does_not_conform",
    ),
    "check-no-superuser": (
        f"{_SHIPPED}::test_a_role_that_may_not_make_extensions_checks_the_rest",
        f"{_SHIPPED}::test_a_role_that_may_make_no_database_is_told_the_ways_out",
        f"{_SHIPPED}::test_a_role_that_may_only_make_tables_is_told_the_ways_out_by_every_verb",
        f"{_SHIPPED}::test_such_a_role_serves_the_database_that_it_has",
    ),
    "check-stock-server": (
        f"{_SHIPPED}::test_without_its_library_statements_are_not_counted",
        f"{_SHIPPED}::test_a_server_as_it_is_shipped_is_served_from",
    ),
    "csv-seeds": (f"{_TABLES}::test_csv", f"{_TABLES}::test_csv_that_cannot_be_read_says_where"),
    "dump-rich": (
        f"{_TABLES}::test_a_dump",
        f"{_TABLES}::test_a_dump_with_the_line_ends_of_windows",
        f"{_TABLES}::test_a_dump_that_cannot_be_used_says_why",
    ),
    "enum-introspection": (
        "tests/check/test_scenario_check.py::test_every_kind_is_right_under_every_strategy",
    ),
    "keepalive": (
        "tests/load/test_client.py::test_only_what_may_be_sent_twice_is_sent_again",
        "tests/load/test_client.py::test_a_connection_that_ended_between_windows_is_not_used",
        "tests/cli/test_targets.py::test_servers_that_close_idle_connections_are_measured",
    ),
    "not-reached": (
        "tests/contract/test_celery_queues.py::test_a_worker_is_ready_when_its_processes_are",
        "tests/cli/test_run_verb.py"
        "::test_what_answers_wrongly_is_not_measured_and_says_so_in_its_own_words",
    ),
    "password-in-report": (f"{_SHIPPED}::test_no_file_and_no_line_has_the_password",),
    "pg-environment": (
        f"{_SHIPPED}::test_the_environment_of_somebodys_application_is_not_ours",
        f"{_TABLES}::test_somebodys_variables_do_not_reach_psql",
    ),
    "pgbouncer-url": (f"{_SHIPPED}::test_a_pooler_is_named",),
    "route-shapes": (
        "tests/app/test_routes.py",
        "tests/contract/test_route.py",
        "tests/check/test_scenario_check.py::test_every_kind_is_right_under_every_strategy",
        "tests/check/test_scenario_check.py::test_what_fails_in_the_plain_session_is_a_finding",
    ),
    "sql-percent": (f"{_TABLES}::test_a_script_arrives_as_psql_sends_it",),
    "target-rest": ("tests/load/test_browsing.py", "tests/cli/test_members.py"),
    "template-key": (
        f"{_TABLES}::test_what_makes_other_data_has_another_key",
        f"{_TABLES}::test_the_key_follows_the_sources",
        f"{_TABLES}::test_what_cannot_be_known_is_seeded_anew",
        f"{_TABLES}::test_a_second_scenario_does_not_get_the_first_ones_rows",
    ),
    "trace-uuid": (
        "tests/app/test_attached.py::test_values_of_all_usual_types_are_sent_again",
        "tests/app/test_attached.py::test_a_scenario_that_could_not_run_is_not_written",
        "tests/app/test_attached.py::test_a_mix_of_fast_and_slow_keeps_its_spread",
    ),
    "typed-params": (
        "tests/contract/test_types.py",
        "tests/check/test_scenario_check.py::test_every_kind_is_right_under_every_strategy",
    ),
    "url-parameters": (
        f"{_URL}::test_parameters_mean_the_same_under_every_driver",
        f"{_URL}::test_what_not_every_driver_has_is_refused_once",
        f"{_SHIPPED}::test_a_server_as_it_is_shipped_is_served_from",
    ),
    "url-space": (
        f"{_URL}::test_every_driver_reads_the_same",
        f"{_SHIPPED}::test_a_socket_works_and_cannot_be_put_farther_away",
        f"{_SHIPPED}::test_options_are_the_applications_and_not_the_seeds",
    ),
}
"""Names of the cases, with the tests (files, or functions in them) that hold their right values."""
