"""The life of one request, from what a caller gives to what the caller gets."""
