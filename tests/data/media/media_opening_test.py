"""Tests that a path always refers to a local file, and that files refer to no others."""

import http.server
import os
import shutil
import threading
import unicodedata
import unittest
from unittest import mock

import av
import cv2
import numpy as np

from avssl_tf.data.media import clip_reading, media_opening, media_probe, sound_file
from avssl_tf.data.media.media_limits import MediaError
from avssl_tf.data.sources.listings import youtube
from tests import hostile_media, media_variants, source_tree


class NamesTest(media_variants.MediaTestCase):

  def test_names_that_look_like_addresses(self):
    source = hostile_media.write_at(
      os.path.join(self.folder, "good.mkv"), hostile_media.SECOND, hostile_media.SECOND
    )
    names = (
      "12:30 concert.mkv", "concat:a|b.mkv", "a%20b%03d*.mkv", "http:x.mkv", "pipe:0.mkv",
      "ü\udcff.mkv", "a?b#c&d.mkv", "-i.mkv", "file:x.mkv",
    )  # fmt: skip
    old = os.getcwd()
    self.addCleanup(os.chdir, old)
    os.chdir(self.folder)
    for name in names:
      shutil.copy(source, os.fsencode(name))
      with self.subTest(name=name.encode("utf-8", "replace")):
        self.assertAlmostEqual(media_probe.probe(name).duration_sec, 1.0, delta=0.1)

  def test_addresses_are_not_opened(self):
    requested = []

    class Handler(http.server.BaseHTTPRequestHandler):
      def do_GET(self):
        requested.append(self.path)
        self.send_error(404)

      def log_message(self, *args):
        pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    self.addCleanup(server.server_close)
    self.addCleanup(server.shutdown)
    good = hostile_media.write_wav(os.path.join(self.folder, "a.wav"), 8000)
    address = f"http://127.0.0.1:{server.server_port}/x.mp4"
    for path in (address, f"concat:{good}|{good}", f"subfile,,start,0,end,900,,:{good}", "pipe:0"):
      with self.subTest(path=path), self.assertRaisesRegex(MediaError, "no such file"):
        media_probe.probe(path, ("audio",))
    self.assertEqual(requested, [])

  def test_pictures_with_patterns_in_their_names_are_themselves(self):
    for name, value in (("a%03d.png", 200), ("a000.png", 0), ("a*.png", 200)):
      cv2.imwrite(os.path.join(self.folder, name), np.full((32, 32, 3), value, np.uint8))
    for name in ("a%03d.png", "a*.png"):
      path = os.path.join(self.folder, name)
      clip = clip_reading.read_clip(path, 0, 0.04, 25, modalities=("video",))
      self.assertAlmostEqual(clip.frames.mean(), 200, delta=3)


class KindsTest(media_variants.MediaTestCase):

  def test_what_is_no_regular_file(self):
    pipe, folder = (os.path.join(self.folder, name) for name in ("pipe.mp4", "folder.mp4"))
    zero, nothing = (os.path.join(self.folder, name) for name in ("zero.mp4", "nothing.mp4"))
    os.mkfifo(pipe)
    os.mkdir(folder)
    os.symlink("/dev/zero", zero)
    os.symlink("gone.mp4", nothing)
    for path, reason in (
      (pipe, "not a regular file: a named pipe"),
      (folder, "not a regular file: a folder"),
      (zero, "not a regular file: a device"),
      (nothing, "no such file: a link to 'gone.mp4', which does not exist"),
      (os.path.join(self.folder, "none.mp4"), "^no such file$"),
      (os.path.join(pipe, "none.mp4"), "^no such file$"),
      ("a\0b.mp4", "cannot be opened: .*embedded null"),
    ):
      with self.subTest(path=path), self.assertRaisesRegex(MediaError, reason):
        media_probe.probe(path)

  def test_names_that_differ_in_accents_are_shown(self):
    path = os.path.join(self.folder, unicodedata.normalize("NFD", "é.wav"))
    hostile_media.write_wav(path, 8000)
    other = os.path.join(self.folder, unicodedata.normalize("NFC", "é.wav"))
    with self.assertRaisesRegex(MediaError, f"no such file; '{path}' exists, .*accents"):
      media_probe.probe(other)

  def test_playlists_and_scripts(self):
    hostile_media.write_wav(os.path.join(self.folder, "a.wav"), 8000)
    shutil.copy(media_variants.SOURCE, os.path.join(self.folder, "a.mp4"))
    texts = {
      "script.mp4": "ffconcat version 1.0\nfile a.mp4\n",
      "script.wav": "ffconcat version 1.0\nfile a.wav\n",
      "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\na.mp4\n#EXT-X-ENDLIST\n",
      "list.mp4": "\ufeff#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\na.mp4\n#EXT-X-ENDLIST\n",
      "dash.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
      "session.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 5004 RTP/AVP 96\n",
    }
    for name, text in texts.items():
      path = os.path.join(self.folder, name)
      with open(path, "w", encoding="utf-8") as f:
        f.write(text)
      for modality in ("video", "audio"):
        with self.subTest(name=name), self.assertRaisesRegex(MediaError, "a playlist or script"):
          media_probe.probe(path, (modality,))
    with self.assertRaisesRegex(MediaError, "a playlist or script"):
      sound_file.read_sound(os.path.join(self.folder, "script.wav"), 8000, 1)

  def test_lists_of_whole_videos_are_checked_alike(self):
    path = os.path.join(self.folder, "x.mp4")
    with open(path, "w", encoding="utf-8") as f:
      f.write("ffconcat version 1.0\nfile a.mp4\n")
    with mock.patch.object(av, "open", side_effect=AssertionError) as opened:
      self.assertFalse(youtube._ends_before(os.path.join(self.folder, "gone.mp4"), 3.0))
    opened.assert_not_called()
    self.assertFalse(youtube._ends_before(path, 3.0))
    self.assertTrue(youtube._ends_before(media_variants.SOURCE, 60.0))

  def test_formats_are_known_to_ffmpeg(self):
    known = {name for names in av.formats_available for name in names.split(",")}
    # Older versions lack some.
    newer = {
      "apv", "evc", "g728", "hxvs", "iamf", "lc3", "osq", "qoa", "rka", "sdns", "vvc", "wavarc",
    }  # fmt: skip
    self.assertEqual(set(media_opening.FORMATS) - known - newer, set())
    self.assertEqual(len(set(media_opening.FORMATS)), len(media_opening.FORMATS))
    foreign = {"concat", "hls", "dash", "sdp", "rtsp", "lavfi", "tty", "vobsub", "imf", "svg_pipe"}
    self.assertEqual(set(media_opening.FORMATS) & foreign, set())

  def test_nothing_else_opens_media_to_read(self):
    for path in source_tree.python_files("avssl_tf", "tools"):
      with open(source_tree.ROOT / path, encoding="utf-8") as f:
        lines = [line for line in f if "av.open(" in line and '"w"' not in line]
      self.assertEqual(bool(lines), path == "avssl_tf/data/media/media_opening.py", path)


if __name__ == "__main__":
  unittest.main()
