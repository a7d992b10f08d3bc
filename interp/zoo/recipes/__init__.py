"""The scripts that made the models of the zoo, one `python -m interp.zoo.recipes.NAME` each."""
