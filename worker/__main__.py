"""`python -m worker`: run a worker, or one of the commands beside it."""

from worker.command_line import main

if __name__ == "__main__":
    main()
