"""How good a talking head is: metrics (one file each), two baselines that need no learning, and the protocols.

`clip` reads, `self_reenactment` and `cross_reenactment` make the pictures, `scorer` measures them into `scores`,
`evaluation` does it for all clips. `saved_run`, `json_report`, `tables`, `paper_table` and `html_report`, which fills
`report.html.jinja`, write down what came out; the two that show every metric have their rows from `score_table`.
Nothing here imports torch, scikit-image or jinja2 before they are needed: they come with `visavis[train]`.
"""
