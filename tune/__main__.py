"""`python -m tune COMMAND` is `imagetune COMMAND`."""

from tune.cli.program import main

if __name__ == "__main__":
    main()
