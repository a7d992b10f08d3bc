"""Text and its preparation: cleaning, privacy scrub, tokenizers, corpora and tasks."""
