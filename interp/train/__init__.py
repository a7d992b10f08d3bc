"""Making models: training, fine-tuning, evaluation, and the runs that they leave."""
