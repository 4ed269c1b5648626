"""`python -m dmn`: the command `dmn` of this interpreter."""

from dmn.cli import main

if __name__ == "__main__":
    main()
