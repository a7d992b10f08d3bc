"""Other people's checkpoints and folders written here, opened as one kind of model."""
