"""Opens local media files with FFmpeg, and nothing else.

FFmpeg accepts URLs, and follows playlists and scripts that refer to other files or URLs. Here a
path is always that of a local regular file in a format that contains its media itself.
"""

import os
import stat

import av

from avssl_tf import local_paths
from avssl_tf.data.media import media_limits, sound_layouts
from avssl_tf.data.media.media_limits import MediaError

# Names of FFmpeg demuxers. Playlists and scripts (concat, hls, dash, sdp, imf, vobsub ...), devices
# and generators (lavfi, x11grab ...) and subtitles are excluded.
_VIDEO_FORMATS = (
  "apng asf asf_o av1 avi avs2 avs3 cavsvideo cine dhav dirac dnxhd dv evc flic flv gif gxf h261 "
  "h263 h264 hevc ifv ipmovie iss ivf ivr kux live_flv lxf m4v matroska mgsts mjpeg mjpeg_2000 "
  "mlv mov mpeg mpegts mpegvideo mpjpeg mtv mv mxf nsv nut nuv obu ogg pva r3d rm rpl ser "
  "simbiosis_imx smjpeg swf ty vc1 vivo vvc wtv xmv yuv4mpegpipe"
).split()
_SOUND_FORMATS = (
  "aa aac aax ac3 ac4 act adx aea aiff amr amrnb amrwb ape apm aptx aptx_hd ast au avr bonk caf "
  "codec2 daud dsf dss dts dtshd eac3 epaf flac g722 g723_1 g726 g728 g729 gsm hca iamf iff ilbc "
  "ircam lc3 loas mlp mmf mp3 mpc mpc8 nistsphere oma osq paf pvf qcp qoa rka rso s337m sbc sds "
  "sdx shn sln sol sox spdif tak truehd tta voc vqf w64 wav wavarc wsd wv wve xa xwma"
).split()
_PICTURE_FORMATS = (
  "bmp_pipe exr_pipe gif_pipe hdr_pipe ico image2 j2k_pipe jpeg_pipe jpegls_pipe jpegxl_anim "
  "jpegxl_pipe pam_pipe pbm_pipe pcx_pipe pgm_pipe png_pipe ppm_pipe psd_pipe qoi_pipe sgi_pipe "
  "sunrast_pipe tiff_pipe webp_pipe"
).split()
FORMATS = (*_VIDEO_FORMATS, *_SOUND_FORMATS, *_PICTURE_FORMATS)
# First bytes of playlists and scripts.
_SCRIPTS = (
  b"ffconcat", b"#EXTM3U", b"[playlist]", b"<?xml", b"<MPD", b"<smil", b"<ASX", b"v=0", b"RTSP",
)  # fmt: skip
_CONTAINER_OPTIONS = {
  "protocol_whitelist": "file",
  "format_whitelist": ",".join(FORMATS),
  "enable_drefs": "0",  # MP4: no tracks with samples in other files.
  "pattern_type": "none",  # Images: % and * in names are literal.
}
# Also limits what FFmpeg decodes when it probes a stream.
_OPTIONS = {**_CONTAINER_OPTIONS, "max_pixels": str(media_limits.MAX_PIXELS)}
_PYAV = int(av.__version__.split(".")[0])
# PyAV 15 allocates options for each stream of the header, and frees them for each stream found by
# probing. If probing finds more streams, as in MPEG program streams, this corrupts the memory of
# the process. Formats whose header lists all streams:
_STREAMS_MAY_APPEAR = _PYAV < 18
_WHOLE_HEADERS = frozenset(
  "aiff apng asf avi caf flac gif ico image2 ivf matroska,webm mjpeg mov,mp4,m4a,3gp,3g2,mj2 mp3 "
  "mxf wav".split()
) | frozenset(name for name in _PICTURE_FORMATS if name.endswith("_pipe"))


def open_container(path: str) -> av.container.InputContainer:
  """Opens a media file.

  Args:
    path: path of a local regular file, or of a link to one. It is not a URL: colons and percent
      signs are parts of names.

  Raises:
    MediaError: no such file, not a regular file, or not in one of `FORMATS`.
    OSError: the file cannot be read.
  """
  path = os.path.abspath(os.fsdecode(path))
  try:
    mode = os.stat(path).st_mode
  except (FileNotFoundError, NotADirectoryError) as error:
    raise MediaError(_why_absent(path)) from error
  except OSError as error:
    raise MediaError(f"cannot be opened: {error.strerror}") from error
  except ValueError as error:  # A NUL.
    raise MediaError(f"cannot be opened: {error}") from error
  if not stat.S_ISREG(mode):
    # Reading a pipe or a device may never end.
    raise MediaError(f"not a regular file: a {_kind(mode)}")
  try:
    container = _open(f"file:{path}")
  except av.error.FFmpegError as error:
    raise MediaError(_why_not_opened(path, error)) from error
  for track in container.streams.audio:
    sound_layouts.make_safe(track)
  return container


def _open(url: str) -> av.container.InputContainer:
  # Titles and comments in unknown encodings must not make a file unreadable. PyAV 19 keeps their
  # bytes.
  errors = {"metadata_errors": "replace"} if _PYAV < 19 else {}
  if _STREAMS_MAY_APPEAR:
    # Nothing is decoded: the sizes are those of the header.
    parsed = {**_CONTAINER_OPTIONS, "codec_whitelist": "none"}
    with av.open(url, container_options=parsed, **errors) as container:
      if container.format.name not in _WHOLE_HEADERS:
        for stream in container.streams.video:
          if stream.codec_context is not None:
            media_limits.check_picture(stream.codec_context.height, stream.codec_context.width)
        return av.open(url, container_options=_CONTAINER_OPTIONS, **errors)
  return av.open(url, options=_OPTIONS, **errors)


def limit_pixels(stream: av.VideoStream) -> None:
  """Makes the decoder of a stream refuse frames of more than `media_limits.MAX_PIXELS`."""
  stream.codec_context.options = {"max_pixels": str(media_limits.MAX_PIXELS)}


def _why_absent(path: str) -> str:
  if os.path.islink(path):
    return f"no such file: a link to {os.readlink(path)!r}, which does not exist"
  other = local_paths.spelled_otherwise(path)
  if other is None:
    return "no such file"
  return f"no such file; {other!r} exists, which differs in how accents are composed"


def _kind(mode: int) -> str:
  kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket"}
  return kinds.get(stat.S_IFMT(mode), "device")


def _why_not_opened(path: str, error: av.error.FFmpegError) -> str:
  with open(path, "rb") as f:
    head = f.read(1024)
  if not head:
    return "empty file"
  if head[4:8] == b"ftyp":
    # The first box of every MP4 and QuickTime file is present, but the index is missing.
    return f"truncated or damaged: an MP4 without a usable index ({error.strerror})"
  if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(_SCRIPTS):
    return "a playlist or script, which refers to other files: pass the media files themselves"
  return f"not a video, or in an unknown format ({error.strerror})"

