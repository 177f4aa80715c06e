"""What may be asked of a draw, and the draw itself: parameters, grammars, the sampler."""
