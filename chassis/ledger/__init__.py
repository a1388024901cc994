"""The log as evidence: entries, Merkle tree, signed checkpoints, files and proofs. Pure formats, no database and no clock.

Written after public specifications, so that tools we did not write can check what we say: RFC 6962 (tree), RFC 9162 (how proofs
are checked) and C2SP's `signed-note`, `tlog-checkpoint`, `tlog-tiles`, `tlog-proof` and `tlog-policy`.
"""
