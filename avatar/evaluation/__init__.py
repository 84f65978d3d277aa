"""How good a talking head is: metrics (one file each), two baselines that need no learning, and the protocols.

`self_reenactment` makes the pictures, `scores` measures them, `saved_run` writes them down for others to recompute.
Nothing here imports torch, dlib or scikit-image before they are needed: they come with `visavis[train]`.
"""
