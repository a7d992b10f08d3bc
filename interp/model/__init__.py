"""The model: configuration, components, the hooked Transformer, taps, cache and generation."""
