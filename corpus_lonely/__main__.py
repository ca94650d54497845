"""`python -m corpus_lonely`: the command, where its script may not be on the path."""

from corpus_lonely.cli.main import main

main(prog_name="corpus-lonely")
