"""``python -m asyncdb_bench``: the command line."""

from asyncdb_bench.cli.entry import main

if __name__ == "__main__":
    main()
