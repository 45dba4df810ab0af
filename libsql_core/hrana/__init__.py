"""Hrana 1, 2 and 3: the protocol's types, its errors and both its encodings. No sockets, no engine."""
