"""Processes that may do little: what seccomp and Landlock forbid them, and which part of the environment they see."""
