"""Tests of the curves of methods."""

import io

import cv2
import numpy as np
from absl.testing import absltest

from avssl_tf.comparison import seed_curves
from avssl_tf.comparison.seed_curves import Curve


def _log(values, name="probe/knn_video"):
  """A log with a value every 10 steps."""
  return [{"step": 10 * i, name: value} for i, value in enumerate(values)]


class CurveTest(absltest.TestCase):

  def test_is_mean_and_standard_deviation_at_each_step(self):
    values = np.random.default_rng(0).uniform(size=[3, 5])
    curve = Curve.of([_log(row) for row in values], "probe/knn_video")
    np.testing.assert_array_equal(curve.steps, [0, 10, 20, 30, 40])
    np.testing.assert_allclose(curve.mean, np.mean(values, axis=0))
    np.testing.assert_allclose(curve.std, np.std(values, axis=0, ddof=1))

  def test_has_the_steps_that_all_runs_have(self):
    logs = [_log([1.0, 2.0, 3.0]), _log([3.0, 4.0]), [{"step": 10, "loss": 1.0}]]
    curve = Curve.of(logs, "probe/knn_video")
    np.testing.assert_array_equal(curve.steps, [0, 10])
    np.testing.assert_array_equal(curve.mean, [2.0, 3.0])

  def test_a_single_run_has_no_spread(self):
    self.assertIsNone(Curve.of([_log([1.0, 2.0])], "probe/knn_video").std)
    self.assertIsNone(Curve.of([_log([1.0, 2.0])], "loss"))

  def test_metrics_come_in_the_order_of_a_table_and_need_three_points(self):
    log = [
      *_log([3.0, 2.0, 1.0], "loss"),
      *_log([0.1, 0.2, 0.3], "probe/purity"),
      *_log([0.1, 0.2, 0.3]),
      *_log([0.1, 0.3], "probe/linear_video"),
      *_log([0.1, 0.2, 0.3], "probe/linear_video_top5"),
      *_log([50.0, 50.0, 50.0], "clips_per_sec"),
    ]
    found = seed_curves.curves({"AVID": [log], "other": [_log([0.1, 0.2])], "none yet": []})
    self.assertEqual(list(found), ["probe/knn_video", "probe/purity", "loss"])
    self.assertEqual(list(found["probe/knn_video"]), ["AVID"])


class DrawTest(absltest.TestCase):

  def test_each_method_has_a_line_and_those_with_several_seeds_a_band(self):
    rising = [_log([0.1, 0.2, 0.4]), _log([0.2, 0.4, 0.6])]
    losses = [_log([3.0, 2.0, 1.0], "loss")]
    figure = seed_curves.draw({"AVID": rising, "none yet": [], "other": [_log([0.0] * 3)] + losses})
    knn, loss = (panel for panel in figure.axes)
    self.assertEqual([knn.get_title(), loss.get_title()[:4]], ["kNN video, %", "loss"])
    np.testing.assert_allclose(knn.lines[0].get_ydata(), [15, 30, 50])
    self.assertLen(knn.lines, 2)
    (band,) = knn.collections
    spread = np.std([0.4, 0.6], ddof=1)
    self.assertAlmostEqual(band.get_paths()[0].vertices[:, 1].max(), 100 * (0.5 + spread))
    self.assertEqual([t.get_text() for t in figure.legends[0].get_texts()], ["AVID", "other"])
    self.assertEqual(knn.lines[1].get_color(), loss.lines[0].get_color())
    file = io.BytesIO()
    figure.savefig(file)
    picture = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    self.assertGreater(picture.std(), 10)

  def test_nothing_to_draw_is_no_picture(self):
    self.assertIsNone(seed_curves.draw({"AVID": [_log([0.1, 0.9])]}))


if __name__ == "__main__":
  absltest.main()
