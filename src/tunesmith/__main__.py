"""`python -m tunesmith` is `tunesmith`."""

from tunesmith.cli.start import main

if __name__ == "__main__":
    main()
