"""Classifiers of video that are trained on a network, frozen or not."""
