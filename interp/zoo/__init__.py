"""The small models trained here: a folder each, with weights, tokenizer and model card."""
