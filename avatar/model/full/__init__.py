"""Size `full`: the networks of "Few-Shot Adversarial Learning of Realistic Neural Talking Head Models".

Zakharov, Shysheya, Burkov, Lempitsky, ICCV 2019, arXiv 1905.08233. §4 gives their parts and sizes; `docs/PAPER.md` says
where we depart from it.
"""
