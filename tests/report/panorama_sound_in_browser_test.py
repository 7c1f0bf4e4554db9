"""Tests of the audio of the viewer, rendered offline by Chromium."""

import os

import numpy as np
import tensorflow as tf
from playwright import sync_api

from avssl_tf.report.panorama_viewer import ViewerClip
from avssl_tf.spatial import directions
from tests import browser, test_base
from tests.report.viewer_clips import NO_ANSWER, RATE_HZ, call, mono, quarters, source, write_page

_ATTEMPTS = 4


class PanoramaSoundInBrowserTest(test_base.TestCase):
  """A clip with noise from the left."""

  def setUp(self):
    super().setUp()
    left = source(90, 0)
    fields = {"true": left, "mirrored": left * np.float32([1, -1, 1, 1]), "mono": mono(left)}
    self.html = os.path.join(self.get_temp_dir(), "viewer.html")
    write_page(self.html, ViewerClip("left", quarters()[np.newaxis], 1.0, fields, RATE_HZ))

  def rendered(self, script, *arguments):
    """The result of a script in a separate browser.

    On a busy machine, Chromium sometimes does not return from offline rendering (which
    the viewer does not use); such a browser is discarded.
    """
    for _ in range(_ATTEMPTS):
      with browser.opened(self.html) as (page, problems):
        page.wait_for_selector("panorama-viewer[data-state=paused][data-frame]")
        try:
          found = call(page, script, *arguments)
        except sync_api.Error as error:
          if NO_ANSWER not in str(error):
            raise
          continue
        self.assertEqual(problems, [])
        return found
    self.fail(f"Chromium gave no answer {_ATTEMPTS} times.")

  def test_sound_stays_in_the_world(self):
    views = (
      (0, 0, "true"), (180, 0, "true"), (90, 0, "true"), (-90, 0, "true"), (0, 60, "true"),
      (0, 0, "mirrored"), (0, 0, "mono"),
    )  # fmt: skip
    energies = self.rendered(
      """
      // All contexts are kept: Chromium sometimes hangs if they are discarded in between.
      const contexts = [];
      for (const [yawDeg, pitchDeg, field] of given) {
        const context = new OfflineAudioContext(2, 22050, 44100);
        contexts.push(context);
        const buffer = (await sound.decodeFields(context, viewer.clip))[field];
        sound.turnListener(context.listener, sound.axesOf(yawDeg, pitchDeg));
        const source = new AudioBufferSourceNode(context, { buffer });
        source.connect(sound.connectLoudspeakers(context, viewer.data));
        source.start();
        context.ears = await context.startRendering();
      }
      const energy = (samples) => samples.reduce((sum, x) => sum + x * x, 0);
      return contexts.map(({ ears }) => [0, 1].map((i) => energy(ears.getChannelData(i))));
      """,
      *views,
    )
    left_ear, right_ear = np.transpose(energies)
    levels_db = 10 * np.log10(left_ear / right_ear)
    ahead, behind, left, right, nodding, mirrored, mono_field = levels_db
    self.assertGreater(ahead, 3)
    self.assertLess(behind, -3)
    self.assertAllClose([left, right], [0.0, 0.0], atol=0.5)
    # Pitch does not change a source at the side.
    self.assertAllClose(nodding, ahead, atol=1.5)
    self.assertLess(mirrored, -3)
    self.assertAllClose(mono_field, 0.0, atol=0.5)

  def test_head_turns_with_the_view(self):
    turns = ((0, 0), (90, 0), (35, 20), (-120, 75), (10, -90))
    found = self.rendered(
      """
      const all = [];
      for (const turn of given) {
        const context = new OfflineAudioContext(1, 128, 8000);
        const { listener } = context;
        sound.turnListener(listener, sound.axesOf(...turn));
        await context.startRendering();
        const axes = ["forwardX", "forwardY", "forwardZ", "upX", "upY", "upZ"];
        all.push(axes.map((name) => listener[name].value));
      }
      return all;
      """,
      *turns,
    )
    for (yaw_deg, pitch_deg), axes in zip(turns, found):
      front, up = np.reshape(axes, [2, 3])
      # x to the right, y up, z to the back.
      to_web_audio = np.float32([[0, -1, 0], [0, 0, 1], [-1, 0, 0]])
      rotation = directions.rotation(*np.float32(np.deg2rad([yaw_deg, pitch_deg]))).numpy()
      self.assertAllClose(front, to_web_audio @ rotation[:, 0], atol=1e-6)
      self.assertAllClose(up, to_web_audio @ rotation[:, 2], atol=1e-6)

  def test_full_scale_is_not_exceeded(self):
    # In the data, the loudest sample is at full scale.
    peak = self.rendered(
      """
      const context = new OfflineAudioContext(2, 44100, 44100);
      const fields = await sound.decodeFields(context, viewer.clip);
      const source = new AudioBufferSourceNode(context, { buffer: fields.true });
      source.connect(sound.connectLoudspeakers(context, viewer.data));
      source.start();
      const ears = await context.startRendering();
      return ears.getChannelData(0).reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      """
    )
    self.assertBetween(peak, 0.2, 1.0)


if __name__ == "__main__":
  tf.test.main()
