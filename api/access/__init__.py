"""Access control: tokens and their scopes, sessions of browsers, and what pages may load."""
