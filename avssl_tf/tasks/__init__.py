"""What is trained: Keras models that join networks and an objective in a train step."""
