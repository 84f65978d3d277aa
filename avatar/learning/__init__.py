"""Meta-learning and fine-tuning: objectives, losses and the adversarial loop. `dataset` makes the training
data, `gpu` trains on a rented card. The only home of training code."""
