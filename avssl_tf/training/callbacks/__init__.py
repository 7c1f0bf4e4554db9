"""What happens around the steps of Keras `fit`: loss log, checkpoints, probes, progress."""
