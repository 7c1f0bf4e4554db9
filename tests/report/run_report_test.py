"""Tests of reports of each method and of comparisons, opened in a browser."""

import os
import re
import shutil
import unittest

import gin
import tensorflow as tf

from avssl_tf.data.building import demo
from avssl_tf.data.synthetic.planar import PlanarWorld
from avssl_tf.report import run_report
from avssl_tf.report.reported_run import ReportedRun
from avssl_tf.training import trainer
from avssl_tf.training.configurations import configuration
from tests import browser, command, source_tree, tiny_alignment, tiny_generator, tiny_run

_SETTINGS = """
num_epochs = 2
train.batch_pictures = 0
Probe.c_grid = (0.1,)
Probe.batch_size = 8
AlignmentProbe.batch_size = 8
CMA.num_negatives = 8
CMA.num_positives = 6
CMA.warmup_epochs = 1
RobustXID.num_negatives = 8
RobustXID.warmup_epochs = 1
SpatialAlignment.warmup_epochs = 1
"""
_GALLERY = "section#{} .card"


def _train(name: str, data_dir: str, model_dir: str, *settings: str) -> str:
  os.makedirs(model_dir)
  path = str(source_tree.ROOT / "gin" / f"{name}.gin")
  lines = (tiny_run.GIN + _SETTINGS).strip().splitlines()
  configuration.parse([path], [*lines, f'data_dir="{data_dir}"', *settings])
  gin.get_configurable(trainer.train)(model_dir=model_dir, strategy=tf.distribute.get_strategy())
  return model_dir


class RunReportTest(tiny_run.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.folder = os.path.dirname(cls.data_dir)
    cls.data360_dir = tiny_alignment.make_data(
      os.path.join(cls.folder, "data360"), num_train=tiny_run.NUM_VIDEOS
    )
    # For tests in which the network does not matter.
    cls.avid_dir = _train(
      "avid", cls.data_dir, os.path.join(cls.folder, "avid"),
      "train.network = @tiny_run.TinyNetwork",
    )  # fmt: skip

  def train(self, name: str, data_dir: str = "") -> str:
    """A tiny run of `gin/<name>.gin`; returns its folder."""
    return _train(name, data_dir or self.data_dir, os.path.join(self.path("runs"), name))

  def test_cma_its_gallery_sounds_and_charts(self):
    model_dir = self.train("avid_cma")
    path = run_report.write(ReportedRun(model_dir))
    self.assertEqual(path, os.path.join(model_dir, "report.html"))
    with browser.opened(path) as (page, problems):
      self.assertEqual(page.locator("h1").inner_text(), "avid_cma")
      titles = page.locator("h2").all_inner_texts()
      self.assertEqual(
        titles,
        [
          "Run", "Scores", "Curves", "Retrieval", "Positive sets", "Localisation",
          "Map of embeddings",
        ],  # fmt: skip
      )
      # Eight queries with five results each, and five anchors with five members of their sets.
      self.assertEqual(page.locator(_GALLERY.format("retrieval")).count(), 8 * 6)
      self.assertEqual(page.locator("section#retrieval .query .card").count(), 8)
      self.assertEqual(page.locator(_GALLERY.format("positive-sets")).count(), 5 * 6)
      self.assertEqual(
        page.locator(".card.right, .card.wrong, .card.own").count(), (8 + 5) * 5
      )
      widths = page.evaluate("[...document.querySelectorAll('.card img')].map(i => i.naturalWidth)")
      self.assertGreater(min(widths), 50)
      self.assertGreaterEqual(page.locator("svg.main-svg").count(), 5)
      self.check_player(page)
      self.assertEqual(problems, [])

  def check_player(self, page):
    """Only one card plays at a time; it stops at a second click and at its end."""
    buttons = page.locator("button.play")
    buttons.nth(0).click()
    self.assertEqual(buttons.nth(0).get_attribute("data-state"), "playing")
    buttons.nth(1).click()
    self.assertEqual(buttons.nth(0).get_attribute("data-state"), "stopped")
    self.assertEqual(buttons.nth(1).get_attribute("data-state"), "playing")
    buttons.nth(1).click()
    self.assertEqual(buttons.nth(1).get_attribute("data-state"), "stopped")
    buttons.nth(2).click()
    page.wait_for_function(
      "document.querySelectorAll('button.play')[2].dataset.state === 'stopped'"
    )

  def test_robust_xid_and_its_distrusted_pairs(self):
    data_dir = self.path("faulty")
    world = PlanarWorld(num_train=tiny_run.NUM_VIDEOS, num_test=8, faulty_positive_rate=0.5)
    demo.DemoData(world, tiny_run.SPECTROGRAM, data_dir).build_if_missing(num_workers=0)
    run = ReportedRun(self.train("robust_xid", data_dir))
    with browser.opened(run_report.write(run)) as (page, problems):
      self.assertEqual(page.locator(_GALLERY.format("weights")).count(), 12)
      marked = page.locator("section#weights").locator(".card.right, .card.wrong")
      self.assertEqual(marked.count(), 12)
      legend = page.locator("section#weights .legendtext").all_text_contents()
      self.assertEqual(legend, ["own audio", "audio of another clip"])
      texts = page.locator("section#weights .card figcaption").all_inner_texts()
      shown = [float(re.search(r"weight ([0-9.]+)", text)[1]) for text in texts]
      self.assertEqual(shown, sorted(shown))
      self.assertEqual(problems, [])

  def test_supervised_beside_avid(self):
    supervised = self.train("supervised")
    avid = self.train("avid")
    with browser.opened(run_report.write(ReportedRun(supervised))) as (page, problems):
      self.assertIn("supervised run", page.locator("#left-out").inner_text())
      self.assertEqual(problems, [])
    with browser.opened(run_report.write(ReportedRun(avid))) as (page, problems):
      heads = page.locator("section#scores th").all_inner_texts()
      self.assertEqual(heads, ["", "untrained", "after 6 steps", "supervised (supervised)"])
      self.assertEqual(problems, [])

  def test_avsa_and_its_matches(self):
    run = ReportedRun(self.train("avsa", self.data360_dir))
    with browser.opened(run_report.write(run)) as (page, problems):
      self.assertIn("Viewpoints and matches", page.locator("h2").all_inner_texts())
      self.assertRegex(
        page.locator("#viewpoints-and-matches").inner_text(), r"\d+ of 16 views are matched"
      )
      width = page.evaluate("document.querySelector('#viewpoints-and-matches img').naturalWidth")
      self.assertGreater(width, 500)
      self.assertEqual(problems, [])

  def test_generated_sound_fields(self):
    model_dir = self.path("generator")
    tiny_generator.train(self.data360_dir, model_dir)
    with browser.opened(run_report.write(ReportedRun(model_dir))) as (page, problems):
      self.assertIn("Generated sound fields", page.locator("h2").all_inner_texts())
      self.assertIn("no probe", page.locator("#left-out").inner_text())
      viewer = page.locator("panorama-viewer")
      viewer.locator("button[name=play]").click()
      page.wait_for_selector("panorama-viewer[data-state=playing]")
      self.assertEqual(problems, [])

  def test_without_its_records_a_run_still_has_a_page(self):
    model_dir = shutil.copytree(self.avid_dir, self.path("moved"))
    path = os.path.join(model_dir, "operative_config.gin")
    with open(path, encoding="utf-8") as f:
      text = f.read()
    with open(path, "w", encoding="utf-8") as f:
      f.write(text.replace(self.data_dir, "/gone"))
    with browser.opened(run_report.write(ReportedRun(model_dir))) as (page, problems):
      self.assertIn("/gone (does not exist)", page.locator("#run").inner_text())
      left_out = page.locator("#left-out").inner_text()
      self.assertIn("Retrieval: the records (/gone) do not exist.", left_out)
      self.assertEqual(problems, [])

  def test_the_command_compares_runs(self):
    runs = [
      shutil.copytree(self.avid_dir, os.path.join(self.path("runs"), name))
      for name in ("avid", "other")
    ]
    path = os.path.join(runs[1], "operative_config.gin")
    with open(path, encoding="utf-8") as f:
      text = f.read()
    with open(path, "w", encoding="utf-8") as f:
      f.write(text.replace("AVID.num_negatives = 8", "AVID.num_negatives = 9"))
    process = command.run_python("-m", "tests.tiny_command", "avssl_tf.report", *runs)
    self.assertEqual(process.returncode, 0, process.stderr)
    path = os.path.join(self.path("runs"), "comparison.html")
    self.assertTrue(os.path.samefile(re.search("Comparison: (.*)", process.stdout)[1], path))
    with browser.opened(path) as (page, problems):
      heads = page.locator("section#probes th").all_inner_texts()
      self.assertEqual(heads, ["", "avid", "other"])
      cells = page.locator("section#settings td").all_inner_texts()
      self.assertEqual(cells, ["AVID.num_negatives", "8", "9"])
      lines = page.locator("section#curves .legendtext").all_text_contents()
      self.assertIn("avid: loss", lines)
      self.assertIn("other: loss", lines)
      page.locator("section#runs a").nth(1).click()
      self.assertEqual(page.locator("h1").inner_text(), "other")
      self.assertEqual(problems, [])
    with self.assertRaisesRegex(ValueError, "A run is given twice"):
      run_report.compare([runs[0], runs[0]], self.path("same.html"))

  def test_links_of_a_comparison_are_no_scripts(self):
    names = ["javascript:document.title='run'", 'a"<b>#?%41']
    runs = [shutil.copytree(self.avid_dir, os.path.join(self.path("runs"), name)) for name in names]
    for model_dir in runs:
      page_path = os.path.join(model_dir, "report.html")
      with open(page_path, "w", encoding="utf-8") as f:
        f.write("<title>Report</title><h1>Opened</h1>")
    path = os.path.join(self.path("runs"), "comparison.html")
    run_report.compare(runs, path)
    for number, name in enumerate(names):
      with browser.opened(path) as (page, problems):
        link = page.locator("section#runs a").nth(number)
        self.assertEqual(link.inner_text(), name)
        link.click()
        page.wait_for_selector("h1:text('Opened')")
        self.assertEqual(page.title(), "Report")
        self.assertEqual(problems, [])

  def test_a_damaged_sibling_is_nothing_to_compare_with(self):
    avid = shutil.copytree(self.avid_dir, os.path.join(self.path("runs"), "avid"))
    for name, text in (
      ("code", b"import tests.colour_encoder\ntrain.task = @Classification\n"),
      ("bytes", b"train.task = @Classification\n\xff\xfe\x00"),
    ):
      os.makedirs(os.path.join(self.path("runs"), name))
      with open(os.path.join(self.path("runs"), name, "operative_config.gin"), "wb") as f:
        f.write(text)
    os.mkdir(os.path.join(self.path("runs"), "folder"))
    os.mkdir(os.path.join(self.path("runs"), "folder", "operative_config.gin"))
    run_report.write(ReportedRun(avid))

  def test_pages_of_others_are_left_alone(self):
    model_dir = shutil.copytree(self.avid_dir, os.path.join(self.path("runs"), "avid"))
    for name, write in (
      ("run/report.html", lambda path: run_report.write(ReportedRun(os.path.dirname(path)))),
      ("comparison.html", lambda path: run_report.compare([model_dir, self.path("run")], path)),
    ):
      path = self.path(name)
      os.makedirs(os.path.dirname(path), exist_ok=True)
      if not os.path.exists(self.path("run/checkpoints")):
        shutil.copytree(model_dir, self.path("run"), dirs_exist_ok=True)
      with open(path, "w", encoding="utf-8") as f:
        f.write("<html>years of work</html>")
      with self.assertRaisesRegex(FileExistsError, f"{path} exists, but is not a page"):
        write(path)
      with open(path, encoding="utf-8") as f:
        self.assertEqual(f.read(), "<html>years of work</html>")
      os.remove(path)
      write(path)
      write(path)  # Its own page is replaced.

  def test_a_probe_with_records_of_its_own(self):
    self.assertEqual(ReportedRun(self.avid_dir).probed, f"'test' of {self.data_dir}")
    model_dir = shutil.copytree(self.avid_dir, self.path("probed_elsewhere"))
    with open(os.path.join(model_dir, "operative_config.gin"), "a", encoding="utf-8") as f:
      f.write('\nProbe.data_dir = "elsewhere"\n')
    self.assertEqual(ReportedRun(model_dir).probed, "'test' of elsewhere")

  def test_mistakes_of_the_command(self):
    for arguments, message in (
      ([self.data_dir], "operative_config.gin"),
      ([], "Pass the folder of a run"),
    ):
      process = command.run_python("-m", "avssl_tf.report", *arguments)
      self.assertEqual(process.returncode, 1, arguments)
      self.assertIn(message, process.stderr + process.stdout)
      self.assertNotIn("Traceback", process.stderr)


if __name__ == "__main__":
  unittest.main()
