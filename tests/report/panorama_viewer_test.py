"""Tests of the data that the 360° viewer sends to the browser."""

import base64
import io
import json
import re

import av
import cv2
import numpy as np
import tensorflow as tf

from avssl_tf.data.synthetic.spherical import SphericalWorld
from avssl_tf.report import panorama_viewer
from avssl_tf.report.panorama_viewer import ViewerClip
from avssl_tf.spatial import ambisonics, directions
from tests import test_base
from tests.report.viewer_clips import RATE_HZ, mono, quarters, source


def data_of(html: str) -> dict:
  """The data for the script."""
  return json.loads(re.search(r'<script type="application/json">(.*)</script>', html).group(1))


def decoded(uri: str) -> np.ndarray:
  """Samples of an audio data URI, int16 `[samples]`."""
  with av.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as container:
    return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)[0]


class PanoramaViewerTest(test_base.TestCase):

  def clip(self, **changes):
    field = source(90, 0)
    values = {
      "title": "a", "frames": np.stack([quarters()] * 4), "frame_rate_hz": 4.0,
      "fields": {"true": field, "mono": mono(field)}, "sample_rate_hz": RATE_HZ,
    }  # fmt: skip
    return ViewerClip(**{**values, **changes})

  def test_loudspeakers_add_up_and_point_to_the_source(self):
    matrix = panorama_viewer.decoding_matrix()
    speakers = panorama_viewer.LOUDSPEAKERS
    self.assertAllClose(np.linalg.norm(speakers, axis=1), np.ones(8))
    self.assertLen(np.unique(speakers, axis=0), 8)
    towards = ambisonics.spread_directions(50)
    angles = directions.angles(tf.constant(towards))
    for direction, field in zip(towards, ambisonics.harmonics(*angles, order=1).numpy()):
      gains = matrix @ field
      self.assertAllClose(gains.sum(), 1.0)
      energy_vector = gains**2 @ speakers / (gains**2).sum()
      self.assertAllClose(energy_vector, direction / np.sqrt(3.0))
      self.assertAllClose(gains @ speakers, direction / np.sqrt(3.0))

  def test_channels_are_sent_once_and_keep_their_relation(self):
    true = source(30, 20)
    generated = true * np.float32([1, 0.5, -2, 0.25])
    fields = {"generated": generated, "true": true, "mono": mono(true)}
    (sent,) = data_of(panorama_viewer.html([self.clip(fields=fields)]))["clips"]
    self.assertLen(sent["channels"], 7)
    channels = [decoded(uri) for uri in sent["channels"]]
    self.assertEqual(max(np.abs(channel.astype(int)).max() for channel in channels), 32767)
    scale = 32767 / np.abs(np.stack([true, generated])).max()
    for name, field in fields.items():
      for number, expected in zip(sent["fields"][name], field.T):
        found = np.zeros(len(field)) if number is None else channels[number]
        self.assertAllClose(found, expected * scale, atol=0.51, rtol=0)
    self.assertEqual(sent["fields"]["mono"], [0, None, None, None])
    self.assertAllClose(sent["durationSec"], 1.0)

  def test_energies_are_those_of_the_energy_map(self):
    parts = [source(90, 0, 0.25), 0.5 * source(-30, 40, 0.25) + source(90, 0, 0.25)]
    field = np.concatenate(parts)
    clip = self.clip(frames=np.stack([quarters()] * 2), fields={"a": field, "b": 0.3 * field})
    (sent,) = data_of(panorama_viewer.html([clip]))["clips"]
    energies = {name: np.reshape(e, [-1, 4, 4]) for name, e in sent["energies"].items()}
    maps = ambisonics.energy_map(tf.constant(np.stack(parts)), 45, 90).numpy() ** 2
    maps -= maps.min(axis=(1, 2), keepdims=True)
    y = ambisonics.harmonics(*ambisonics.pixel_directions(45, 90), order=1).numpy()
    found = np.einsum("hwc,tcd,hwd->thw", y, energies["a"], y)
    self.assertAllClose(found, maps / maps.max(), atol=2e-4)
    self.assertAllClose(energies["b"], 0.09 * energies["a"], atol=2e-5)

  def test_frames_are_thinned_out_and_made_smaller(self):
    brightness = np.arange(100, dtype=np.uint8)
    frames = np.broadcast_to(brightness[:, np.newaxis, np.newaxis, np.newaxis], [100, 300, 600, 3])
    clip = self.clip(frames=frames, frame_rate_hz=50.0)
    (sent,) = data_of(panorama_viewer.html([clip]))["clips"]
    self.assertEqual(sent["numFrames"], panorama_viewer.MAX_FRAMES)
    self.assertAllClose(sent["frameRateHz"], 16.0)
    encoded = np.frombuffer(base64.b64decode(sent["frames"].split(",")[1]), np.uint8)
    sheet = cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)
    self.assertEqual(sheet.shape, (32 * 256, 512))
    # Each frame from about the middle of its interval.
    middle = (np.arange(32) + 0.5) * 100 / 32
    self.assertAllClose(sheet[128::256, 256], middle, atol=2.0, rtol=0)

  def test_size_of_a_demo_clip(self):
    one, other = (SphericalWorld(num_train=1, num_test=2).clip("test", i) for i in range(2))
    field = one.waveform[:8000]
    generated = np.concatenate([field[:, :1], 0.5 * other.waveform[:8000, 1:]], axis=1)
    frames = np.stack([cv2.resize(frame, (96, 48)) for frame in one.frames[:8]])
    fields = {"generated": generated, "true": field, "mono": mono(field)}
    clip = self.clip(frames=frames, frame_rate_hz=8.0, fields=fields, sample_rate_hz=8000)
    self.assertLess(len(panorama_viewer.html([clip])), 150_000)

  def test_names_are_no_markup(self):
    title, name = "</script><b>&", '"><i>'
    html = panorama_viewer.html([self.clip(title=title, fields={name: source(0, 0)})])
    self.assertNotRegex(html, "<b>|<i>")
    self.assertEqual(html.count("</script>"), 1)
    self.assertEqual(list(data_of(html)["clips"][0]["fields"]), [name])

  def test_what_does_not_fit(self):
    field = source(0, 0)
    for changes, message in (
      ({"frames": np.zeros([0, 8, 16, 3], np.uint8)}, r"a: frames are uint8 \(0, 8, 16, 3\)"),
      ({"frames": np.zeros([2, 8, 16, 3])}, "a: frames are float64"),
      ({"frames": np.zeros([2, 8, 8, 3], np.uint8)}, "a: a frame has 8x8 pixels"),
      ({"frame_rate_hz": 0.0}, "a: frame_rate_hz is 0.0; expected more than 0"),
      ({"fields": {}}, "a: there is no sound field"),
      ({"fields": {"true": field, "x": field[:-1]}}, r"a: field 'x' has shape \(15999, 4\);"),
      ({"fields": {"true": field * np.nan}}, "a: field 'true' contains NaN"),
    ):
      with self.assertRaisesRegex(ValueError, message):
        self.clip(**changes)
    with self.assertRaisesRegex(ValueError, "There is no clip"):
      panorama_viewer.html([])
    with self.assertRaisesRegex(ValueError, r"b has the fields \['x'\], a has \['true', 'mono'\]"):
      panorama_viewer.html([self.clip(), self.clip(title="b", fields={"x": field})])

if __name__ == "__main__":
  tf.test.main()
