"""Run the command line as ``python -m pixvec``."""

from pixvec.cli import main

main()
