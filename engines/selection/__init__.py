"""Which engine runs a network here. Each file calls the next one down:

`auto` opens a network, with what a person asked for or with what is the fastest here. `choice` remembers which is the
fastest, and has it measured where nothing is remembered. `measure` times every way to run the network, and `trial` is
the process of its own in which each of them is loaded and run.
"""
