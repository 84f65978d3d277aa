"""The commands. A command parses, calls the product and prints by `terminal`: no work is done here."""
