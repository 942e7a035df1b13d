"""`python -m medlora`: the command line, as each of several workers is started."""

from medlora.cli import main

main()
