"""Where the line is kept: the contract (`base`) and one package per database."""
