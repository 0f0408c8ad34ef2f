"""The commands: options → one workflow → one writer. Data go to stdout, words and progress to stderr."""
