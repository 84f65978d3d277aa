"""Training on a card that is lent for minutes: freight that fits, batches made on the card, stages that resume."""
