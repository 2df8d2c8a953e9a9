"""`python -m ingest`: run a gateway, or one of the commands that speak to one."""

from ingest.command_line import main

if __name__ == "__main__":
    main()
