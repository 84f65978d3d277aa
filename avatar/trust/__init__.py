"""What tells that a picture is ours: the visible label, and the invisible mark and how it is found again."""
