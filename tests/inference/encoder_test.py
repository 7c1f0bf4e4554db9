"""Tests that an encoder matches the model that it was created from."""

import tensorflow as tf

from avssl_tf.inference import encoder
from tests import test_base, tiny_av_model


class EncoderTest(test_base.TestCase):

  def test_of_model(self):
    model, clip = tiny_av_model.make(), tiny_av_model.CLIP
    made = encoder.Encoder.of_model(
      model, clip, tiny_av_model.SAMPLE_RATE_HZ, 1, make_model=lambda: model
    )
    frames, waveform = tiny_av_model.frames(self.rng, 2), tiny_av_model.waveforms(self.rng, 2)
    for found, expected in (
      (made.embed_video(frames), model.embed_video(frames)),
      (made.embed_audio(waveform), model.embed_audio(waveform)),
      (made.video_maps(frames), model.video_maps(frames)),
      (made.audio_maps(waveform), model.audio_maps(waveform)),
      (made.embed_video_positions(frames), model.embed_video_positions(frames)),
    ):
      tf.nest.map_structure(self.assertAllEqual, found, expected)
    self.assertContainsSubset(encoder.STAGES, made.video_maps(frames))
    self.assertContainsSubset(encoder.STAGES, made.audio_maps(waveform))
    self.assertIs(made.clip, clip)
    self.assertIs(made.make_model(), model)


if __name__ == "__main__":
  tf.test.main()
