"""Plans the runs of a comparison: methods, seeds and folders."""

import dataclasses
import os
import re
import shlex
import sys
from collections.abc import Sequence

import gin

from avssl_tf.training.configurations import configuration
from avssl_tf.training.configurations.settings import ConfigurationError

# Valid in tables, in legends and as names of folders.
_NAME = re.compile(r"\w[\w .+()-]*")
_FORM = "'NAME: FILE.gin [FILE.gin ...] [NAME=VALUE ...]'"
_EXAMPLE = "--method='Self-AVID: gin/avid.gin AVID.cross_coefficient=0.0'"


@dataclasses.dataclass(frozen=True)
class Method:
  """A method: a name and a configuration.

  Attributes:
    name: letters, digits, spaces and any of `_.+-()`.
    gin_files: gin files of the configuration; later files override earlier ones.
    gin_params: bindings that are applied after the files.
  """

  name: str
  gin_files: tuple[str, ...]
  gin_params: tuple[str, ...] = ()

  @classmethod
  def parse(cls, text: str) -> "Method":
    """Parses a method.

    >>> Method.parse("xID: gin/avid.gin gin/scale/small.gin batch_size=8")
    Method(name='xID', gin_files=('gin/avid.gin', 'gin/scale/small.gin'),
           gin_params=('batch_size=8',))

    Args:
      text: a name, a colon, then words, split as by a shell: words that end in `.gin` are files,
        words with `=` are bindings. A binding with quotes or spaces must be quoted as a whole:
        `'train.split="train[:900]"'`.

    Raises:
      ConfigurationError: the text has another form.
    """
    blamed = f"--method={text}"
    name, colon, rest = text.partition(":")
    name = name.strip()
    if not colon or not _NAME.fullmatch(name):
      raise ConfigurationError(
        f"{blamed}: expected {_FORM}, with a name of letters, digits, spaces and any of _.+-(), "
        f"for example {_EXAMPLE}."
      )
    try:
      words = shlex.split(rest)
    except ValueError as error:
      raise ConfigurationError(f"{blamed}: {error}.") from error
    files = tuple(word for word in words if word.endswith(".gin"))
    params = tuple(word for word in words if word not in files)
    strange = [param for param in params if "=" not in param.strip("=")]
    if strange:
      raise ConfigurationError(
        f"{blamed}: {strange[0]!r} is neither a file *.gin nor a binding NAME=VALUE. A binding "
        "with spaces or quotes must be quoted as a whole: 'train.split=\"train[:900]\"'."
      )
    if not files:
      raise ConfigurationError(f"{blamed}: no gin file. Expected {_FORM}.")
    return cls(name, files, params)

  @property
  def folder_name(self) -> str:
    """The name without characters that are special in shells and file systems.

    >>> Method("AVID + CMA (k = 32)".replace(" = ", "-"), ("x.gin",)).folder_name
    'AVID_+_CMA_k-32'
    """
    return re.sub(r"[^\w.+-]+", "_", self.name).strip("_")


@dataclasses.dataclass(frozen=True)
class Run:
  """One run of a comparison.

  Attributes:
    method: name of the method.
    gin_files: gin files of the configuration.
    gin_params: bindings that are applied after the files; the last one sets the seed.
    seed: the seed.
    model_dir: folder of the run.
  """

  method: str
  gin_files: tuple[str, ...]
  gin_params: tuple[str, ...]
  seed: int
  model_dir: str

  @property
  def record_path(self) -> str:
    """File next to the folder of the run with its configuration and its status."""
    return f"{self.model_dir}.json"

  def begins_with(self, other: "Run") -> bool:
    """Whether the bindings contain the folder of `other`, so the run must wait for it."""
    folder = re.compile(rf"{re.escape(other.model_dir)}(?![\w.+-])")
    return other is not self and any(folder.search(param) for param in self.gin_params)

  def command(self) -> list[str]:
    """The training command of the run."""
    return [
      sys.executable, "-m", "avssl_tf.train",
      *(f"--gin_file={path}" for path in self.gin_files),
      *(f"--gin_param={param}" for param in self.gin_params),
      f"--model_dir={self.model_dir}",
    ]  # fmt: skip


def plan(
  methods: Sequence[Method], gin_params: Sequence[str], seeds: Sequence[str], output_dir: str
) -> list[Run]:
  """Lists the runs of a comparison: all methods with the first seed, then with the next.

  Args:
    methods: at least one, with different names. In bindings, "{seed}" and "{output_dir}" are
      replaced by those of the run, so a run can start from an earlier one:
      `train.init_from="{output_dir}/AVID-seed{seed}"`.
    gin_params: bindings for all runs, with the same replacements; they override those of a method.
    seeds: integers as text.
    output_dir: folder of the runs.

  Raises:
    ConfigurationError: there is no method, two methods would share a folder, or the seeds are not
      distinct integers.
  """
  try:
    numbers = [int(seed) for seed in seeds]
  except ValueError as error:
    raise ConfigurationError(
      f"--seeds={','.join(seeds)}: expected integers such as 0,1,2."
    ) from error
  if not numbers or len(set(numbers)) < len(numbers):
    raise ConfigurationError(f"--seeds={','.join(seeds)}: expected distinct integers.")
  if not methods:
    raise ConfigurationError(f"No method: pass --method, for example {_EXAMPLE}.")
  by_folder: dict[str, Method] = {}
  for method in methods:
    other = by_folder.setdefault(method.folder_name.casefold(), method)
    if other is not method:
      raise ConfigurationError(
        f"Methods {other.name!r} and {method.name!r} would share a folder: give them names that "
        "differ in letters or digits."
      )

  output_dir = os.path.normpath(output_dir)

  def filled(param: str, seed: int) -> str:
    return param.replace("{seed}", str(seed)).replace("{output_dir}", output_dir)

  return [
    Run(
      method.name,
      method.gin_files,
      (*(filled(p, seed) for p in (*method.gin_params, *gin_params)), f"seed={seed}"),
      seed,
      os.path.join(output_dir, f"{method.folder_name}-seed{seed}"),
    )
    for seed in numbers
    for method in methods
  ]


def resolved_configuration(run: Run) -> str:
  """The complete configuration of a run as text.

  Raises:
    ConfigurationError: the configuration cannot be used, does not use the seed of the run, or has
      no probe.
  """
  try:
    configuration.parse(run.gin_files, run.gin_params)
  except ConfigurationError as error:
    raise ConfigurationError(f"Method {run.method}: {error}") from error
  bindings = gin.get_bindings("train")
  if bindings.get("seed") != run.seed:
    raise ConfigurationError(
      f"Method {run.method}: train.seed does not use the macro `seed`. "
      "Set train.seed = %seed, as in gin/base/train.gin."
    )
  if bindings.get("probe") is None:
    raise ConfigurationError(
      f"Method {run.method} has no probe, so there are no metrics to compare: set "
      "train.probe = @Probe()."
    )
  return gin.config_str()
