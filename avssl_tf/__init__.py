"""Audio-visual self-supervised learning in TensorFlow and Keras."""
