"""From a model's name to what is in its files: hub, digest, formats, tokenizer."""
