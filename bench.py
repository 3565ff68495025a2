"""The command line's entry."""

from asyncdb_bench.cli import main

if __name__ == "__main__":
    main()
