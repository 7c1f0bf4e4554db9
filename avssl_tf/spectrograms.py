"""Log spectrograms of waveforms, in graph."""
