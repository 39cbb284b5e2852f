"""`python -m pacer` is the `pacer` command."""

from pacer._cli import main

if __name__ == "__main__":
    main()
