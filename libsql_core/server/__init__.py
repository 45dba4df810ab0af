"""The server: transport > protocol > session > engine, each layer knowing only the one below."""
