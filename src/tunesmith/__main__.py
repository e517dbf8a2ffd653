"""`python -m tunesmith` is `tunesmith`."""

from tunesmith.cli import main

if __name__ == "__main__":
    main()
