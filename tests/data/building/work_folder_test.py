"""Tests that a build deletes and overwrites only files of builds."""

import os
import shutil
from unittest import mock

import tensorflow as tf

from avssl_tf.data.building import finish, work_folder
from avssl_tf.data.building.build import build
from avssl_tf.data.building.work_folder import BuildError
from tests.data.building import build_case, fake_source
from tests.data.building.build_case import all_bytes


class WorkFolderTest(build_case.BuildCase):
  def setUp(self):
    super().setUp()
    self.elsewhere = self.new_folder()
    self.victim = self.write("thesis.tex", self.elsewhere)
    self.work = os.path.join(self.output, ".build")

  def write(self, name, folder=None):
    path = os.path.join(folder or self.output, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
      f.write("years of work")
    return path

  def build(self, overwrite=False, **changes):
    return build(fake_source.recipe(self.inputs, **changes), self.output, 0, overwrite=overwrite)

  def assert_refused(self, text, *victims):
    for overwrite in (False, True):
      with self.assertRaisesRegex(BuildError, text):
        self.build(overwrite)
      for path in (self.victim, *victims):
        with open(path, encoding="utf-8") as f:
          self.assertEqual(f.read(), "years of work", path)

  def assert_overwriting_refused(self, text, victim):
    before = sorted(os.walk(self.output))
    with self.assertRaisesRegex(BuildError, text):
      self.build(overwrite=True)
    self.assertEqual(sorted(os.walk(self.output)), before)
    with open(victim, encoding="utf-8") as f:
      self.assertEqual(f.read(), "years of work")

  def test_a_link_in_the_place_of_the_work_folder(self):
    os.symlink(self.elsewhere, self.work)
    self.assert_refused(f"{self.work} is a symbolic link to '{self.elsewhere}'")
    self.assertEqual(os.listdir(self.elsewhere), ["thesis.tex"])

  def test_links_inside(self):
    self.build()
    for name in ("probes.jsonl", "0", "recipe.json"):
      with self.subTest(name):
        path = os.path.join(self.work, name)
        os.rename(path, f"{path}.kept")
        os.symlink(self.victim if "." in name else self.elsewhere, path)
        self.assert_refused(f"{path} is a symbolic link to")
        os.remove(path)
        os.rename(f"{path}.kept", path)
    self.assertEqual(os.listdir(self.elsewhere), ["thesis.tex"])

  def test_the_file_that_earlier_versions_locked_is_not_opened(self):
    os.makedirs(self.work)
    os.symlink(self.victim, os.path.join(self.work, "lock"))
    self.assert_refused(f"{self.work}/lock is a symbolic link to '{self.victim}'")

  def test_a_folder_of_this_name_that_is_no_build(self):
    victim = self.write(".build/0/objects.o")
    self.assert_refused(r"\.build contains '0', .*no recipe.json", victim)
    os.rename(victim, self.write(".build/0/film-00000-of-00001.tfrecord"))
    victim = self.write(".build/0/film-00000-of-00001.tfrecord")
    self.assert_refused(r"\.build contains '0'", victim)

  def test_foreign_files_among_the_work(self):
    self.build()
    for name in (".build/thesis.tex", ".build/0/thesis.tex", ".build/0/figures/a.png"):
      with self.subTest(name):
        victim = self.write(name)
        self.build()  # Nothing prevents it.
        self.assert_overwriting_refused(r"\.build contains '\S+', which this program", victim)
        os.remove(victim)
        if "figures" in name:
          os.rmdir(os.path.dirname(victim))
    self.build(overwrite=True)

  def test_foreign_records_beside_a_data_set(self):
    reference = self.reference()
    self.build()
    names = ("film-00000-of-00001.tfrecord", "train-00000-of-00009.tfrecord")
    for name in names:
      with self.subTest(name):
        victim = self.write(name)
        self.build()
        self.assert_overwriting_refused(f"contains .*'{name}'.* of unknown origin", victim)
        os.remove(victim)
    link = os.path.join(self.output, "test-00000-of-00003.tfrecord")
    self.assertTrue(os.path.exists(link))
    os.replace(link, os.path.join(self.elsewhere, "moved"))
    os.symlink(os.path.join(self.elsewhere, "moved"), link)
    self.build()  # Records may be links.
    self.assertEqual(all_bytes(self.output), reference)
    with self.assertRaisesRegex(BuildError, f"{link} is a symbolic link to"):
      self.build(overwrite=True)
    self.assertIn("moved", os.listdir(self.elsewhere))

  def test_files_of_others_with_names_of_a_data_set(self):
    # TensorFlow Datasets uses this file name too.
    for name in ("dataset_info.json", "failures.jsonl"):
      with self.subTest(name):
        victim = self.write(name)
        self.assert_refused(f"contains .*'{name}'.* of unknown origin", victim)
        os.remove(victim)

  def test_a_data_set_without_its_work_folder(self):
    self.build()
    shutil.rmtree(self.work)
    with self.assertRaisesRegex(BuildError, "of unknown origin"):
      self.build()
    self.build(overwrite=True, num_shards=2)
    self.assertEqual(all_bytes(self.output), self.reference(num_shards=2))

  def test_overwriting_killed_half_way(self):
    self.build()
    count = len(os.listdir(self.output)) + len(os.listdir(os.path.join(self.work, "0"))) + 2
    remove = os.remove
    for number in range(1, count):
      calls = []

      def killed(path, number=number, calls=calls):
        calls.append(path)
        if len(calls) == number:
          raise KeyboardInterrupt
        remove(path)

      with mock.patch.object(os, "remove", killed), self.assertRaises(KeyboardInterrupt):
        self.build(overwrite=True)
      self.build(overwrite=True)
      self.assertEqual(all_bytes(self.output), self.reference())

  def test_shards_of_a_plan_that_changed(self):
    fake_source.write_files(self.inputs, ["4.0", *["unreadable"] * 2, *build_case.GOOD[3:]])
    recipe = fake_source.recipe(self.inputs, num_shards=20)
    build(recipe, self.output, 0, 0.5)
    before = set(os.listdir(self.output))
    fake_source.write_files(self.inputs, build_case.GOOD)
    victim = self.write("train-00000-of-00099.tfrecord")

    def killed(*args):
      raise KeyboardInterrupt

    for broken in (True, False):  # The old shards are still known after a kill.
      if broken:
        with mock.patch.object(finish, "dataset_info", killed):
          with self.assertRaises(KeyboardInterrupt):
            build(recipe, self.output, 0, 0.5, retry_failed=True)
      else:
        build(recipe, self.output, 0, 0.5)
    self.assertTrue(os.path.exists(victim))
    os.remove(victim)
    self.assertEqual(all_bytes(self.output), self.reference(num_shards=20))
    self.assertNotEmpty(before - set(os.listdir(self.output)))
    self.assertEqual(os.listdir(os.path.join(self.work)).count("0"), 0)

  def test_temporary_files_of_others(self):
    victims = [
      self.write(name)
      for name in ("film-00000-of-00001.tfrecord.tmp-12", "notes.json.tmp-2", "a.tmp-1")
    ]
    inside = self.write(".build/thesis.tex.tmp-1")
    with self.assertRaisesRegex(BuildError, "'thesis.tex.tmp-1'"):
      self.build()
    os.rename(inside, os.path.join(self.elsewhere, "kept"))
    self.build()
    self.build(overwrite=True)
    for path in victims:
      self.assertTrue(os.path.exists(path), path)

  def test_half_finished_build_of_an_earlier_version(self):
    with mock.patch.object(finish, "write_final_shards", side_effect=KeyboardInterrupt):
      with self.assertRaises(KeyboardInterrupt):
        self.build()
    self.write(".build/lock")
    with mock.patch.object(
      fake_source.FakeReader, "read", autospec=True, side_effect=AssertionError
    ):
      self.build()
    self.assertEqual(all_bytes(self.output), self.reference())
    self.build(overwrite=True)
    self.assertEqual(all_bytes(self.output), self.reference())

  def test_nothing_is_made_before_the_check(self):
    victim = self.write("failures.jsonl")
    self.assert_refused("of unknown origin", victim)
    self.assertEqual(os.listdir(self.output), ["failures.jsonl"])
    work_folder.WorkFolder(os.path.join(self.output, "new"))
    self.assertEqual(os.listdir(self.output), ["failures.jsonl"])

  def test_splits_that_are_paths(self):
    requests = fake_source.recipe(self.inputs).requests
    name = os.path.join("..", os.path.basename(self.elsewhere), "thesis")
    for request in requests:
      object.__setattr__(request, "split", name)
    with self.assertRaisesRegex(BuildError, "name '../.*without brackets and slashes"):
      self.build(requests=requests)
    self.assertEqual(os.listdir(self.elsewhere), ["thesis.tex"])


if __name__ == "__main__":
  tf.test.main()
