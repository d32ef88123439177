"""`make bench`: what things cost, each beside what it is compared with, in one run."""

from tests.benchmarks import egress, neighbour
from tests.benchmarks.rows import machine, write


def main() -> None:
    """Measure everything and write it down."""
    facts = machine()
    print("the egress proxy ...", flush=True)
    write(facts, [*egress.rows(), *neighbour.rows()])


if __name__ == "__main__":
    main()
