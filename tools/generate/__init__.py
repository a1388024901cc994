"""What other people's programs and readers need of us, generated from the code itself; `hotline contracts` writes it."""
