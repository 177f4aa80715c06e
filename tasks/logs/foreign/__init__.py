"""Files that are no logs of model calls, and what they are: by name, first bytes, keys and lines.

Each module has `told(...)`, which says what something is in a few words, or None. What it quotes of
the file (keys, columns, words) stands behind the first colon, and no apostrophe before it: a store
that seals what it holds keeps an error up to there (`WITHOUT_DATA` of its dead letters).
"""
