"""Site configuration: strict TOML in, a resolved site model out."""
