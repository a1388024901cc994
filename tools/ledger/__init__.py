"""What is made of a log for others, and how it is checked: exports, bundles, the verifier, and the matrix of tampering."""
