"""What reaches the line from outside: bytes of a provider become rows of the inbox. Pure functions, no framework, no network."""
