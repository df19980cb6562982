"""Layout families of the procedural documents: what is fixed in a template, and where its fields go."""
