"""The command line's entry."""

from asyncdb_bench.cli.entry import main

if __name__ == "__main__":
    main()
