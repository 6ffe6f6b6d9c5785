"""Who may ask, from where, how often, and what a browser may do with the answer."""
