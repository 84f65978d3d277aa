"""What tells that a picture is ours: the invisible mark in every published one, and how it is found again."""
