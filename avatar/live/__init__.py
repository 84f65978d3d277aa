"""The way of a frame: `loop` live, `drive` from file to file, `outputs` opened by name. Nothing queues: every hop is a
mailbox of size one."""
