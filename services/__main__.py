"""`python -m services <name> --role=api|worker|all`: one process of one service."""

import argparse
from importlib import import_module

from chassis.service import start
from chassis.settings import settings_from_environment

SERVICES = ("intake", "cases", "referrals", "notifications", "projections")


def main() -> None:
    """Parse the command line and run until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m services", description="Run one process of one service.")
    parser.add_argument("name", choices=SERVICES)
    parser.add_argument("--role", choices=("api", "worker", "all"), default="all")
    given = parser.parse_args()
    bootstrap = import_module(f"services.{given.name}.bootstrap")
    start(given.name, given.role, settings_from_environment(), bootstrap.build)


if __name__ == "__main__":
    main()
