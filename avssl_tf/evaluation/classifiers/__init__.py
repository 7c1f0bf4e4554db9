"""Video classifiers that are trained on a frozen or fine-tuned network."""
