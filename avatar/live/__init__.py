"""The way of a frame: `loop` live, `drive` from file to file. Every hop is a mailbox of size one; nothing queues."""
