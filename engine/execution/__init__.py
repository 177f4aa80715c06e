"""From chunks of requests to tensors, through the model, and back to plain numbers."""
