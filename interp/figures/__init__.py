"""Charts, token strips and offline HTML pages, drawn from frames and plain values."""
