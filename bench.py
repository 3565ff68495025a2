"""The command line's entry."""

from asyncdb_bench.cli.main import main

if __name__ == "__main__":
    main()
