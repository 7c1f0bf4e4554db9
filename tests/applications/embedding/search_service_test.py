"""Tests of answering search queries line by line."""

import json
import os
from unittest import mock

import numpy as np
from absl.testing import absltest

from avssl_tf.applications.embedding import search, search_service
from tests import colour_encoder, media_variants
from tests.applications.embedding import embedding_arrays


class SearchServiceTest(media_variants.MediaTestCase):

  def setUp(self):
    super().setUp()
    content = embedding_arrays.make(30, 3)
    # Video of the first file is like low tones, that of the second like high ones.
    content["video_embeddings"][:] = np.repeat(np.eye(3, dtype=np.float32), 10, axis=0)
    self.index = embedding_arrays.write(os.path.join(self.folder, "all.npz"), content)
    self.job = search.Job(self.index, serve=True, top=1)
    self.job.check()
    weights = embedding_arrays.ABOUT["weights"]
    self.searched = search.Search(colour_encoder.make(), weights, self.index)

  def sound(self, name, number):
    path = os.path.join(self.folder, name)
    tone = media_variants.sine(1.0, frequency_hz=colour_encoder.TONES_HZ[number])
    media_variants.write_media(path, None, tone, audio_codec="flac")
    return path

  def answers(self, *lines):
    found = []
    count = search_service.serve(self.searched, self.job, lines, found.append)
    self.assertEqual(count, len(found))
    return found

  def test_paths_and_objects(self):
    low, high = self.sound("low tone.flac", 0), self.sound("high.flac", 1)
    asked = {"query": high, "top": 2, "find": "video", "all_windows": True, "end_sec": 0.5}
    table, objects = self.answers(f"{low}\n", "\n", json.dumps(asked))
    heading, _, result, end = table.split("\n")
    self.assertIn(f"Video windows in {self.index} nearest to the audio of {low}, 0.00 s", heading)
    self.assertRegex(result, r"^   1 +1\.000 +0\.0-2\.0 s  films/00000\.mp4$")
    self.assertEqual(end, "")
    found = json.loads(objects)
    self.assertEqual({**found, "results": None}, {
      "index": self.index, "query": high, "query_modality": "audio", "find": "video",
      "results": None,
    })  # fmt: skip
    self.assertEqual([r["file"] for r in found["results"]], ["films/00001.mp4"] * 2)
    self.assertEqual([r["start_sec"] for r in found["results"]], [0.0, 2.0])

  def test_errors_are_answers(self):
    sound = self.sound("low.flac", 0)
    wrong = (
      ("{", "The query is not JSON"),
      ("{}", "no 'query'; expected the path of a file"),
      ('{"query": "nothing.wav"}', "--query=nothing.wav: no such file"),
      ('{"query": 3}', "The query has query=3; expected str"),
      (json.dumps({"query": sound, "top": True}), "The query has top=True; expected int"),
      (json.dumps({"query": sound, "top": 0}), "--top=0; expected 1 or more"),
      (json.dumps({"query": sound, "find": "smell"}), "find='smell'; expected video or audio"),
      (json.dumps({"query": sound, "index": "x"}), "The query has 'index'; expected names among"),
      (json.dumps({"query": sound, "query_modality": "video"}), "has no video"),
      (json.dumps({"query": self.index}), "all.npz: not a"),
    )
    answers = self.answers(*(line for line, _ in wrong), "nothing.wav", sound)
    for (line, words), answer in zip(wrong, answers):
      with self.subTest(line):
        self.assertIn(words, json.loads(answer)["error"])
    self.assertEqual(answers[-2], "Error: --query=nothing.wav: no such file.\n")
    self.assertIn("films/00000.mp4", answers[-1])

  def test_faults_of_the_program_are_no_answers(self):
    with mock.patch.object(self.searched, "find", side_effect=ZeroDivisionError):
      with self.assertRaises(ZeroDivisionError):
        self.answers(self.sound("low.flac", 0))


if __name__ == "__main__":
  absltest.main()
