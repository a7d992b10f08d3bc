"""Teaching texts that run: a notebook for each question, and what executes and prints them."""
