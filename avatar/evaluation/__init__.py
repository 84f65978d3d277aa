"""How good a talking head is: metrics (one file each), two baselines that need no learning, and the protocols.

`clip` reads, `self_reenactment` and `cross_reenactment` make the pictures, `scores` measures them, `evaluation` does it
for all clips; `saved_run`, `json_report`, `tables`, `paper_table` and `html_report` write down what came out.
Nothing here imports torch or scikit-image before they are needed: they come with `visavis[train]`.
"""
