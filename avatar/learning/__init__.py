"""Meta-learning: training data, losses and the adversarial loop. The only home of training code."""
