"""What is measured by hand, on a quiet machine: each file is a program with --help."""
