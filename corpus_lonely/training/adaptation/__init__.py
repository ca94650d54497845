"""From unlabelled posts to an encoder that knows their language: masked-language-model training."""
