"""The site of the documentation, made by `make docs`: what the code knows, it writes itself."""
