"""From labelled posts to a model, and its evaluation with the metrics of the paper."""
