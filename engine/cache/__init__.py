"""The paged KV cache: which blocks are whose, and what is in them."""
