"""The contract gate: what was told once is read for ever, so today's contracts must take everything that any release allowed."""
