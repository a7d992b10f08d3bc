"""Global analyses, one file each: a function, the tidy frame it returns, and a script."""
