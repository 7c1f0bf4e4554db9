"""All metrics of a generated sound field, and their means over clips."""

from collections.abc import Mapping, Sequence
from typing import Optional

import numpy as np

from avssl_tf.evaluation.sound_fields import sound_field_metrics as metrics
from avssl_tf.evaluation.sound_fields import sound_sources

# Groups of clips by audible sources; a clip belongs to "all" and to all others that apply.
GROUPS = ("all", "one", "several", "moving")
# Ratios are averaged before conversion to dB, so that other clips cannot offset a failed one.
_RATIO, _ERROR_DB = "error_ratio", "error_db"
_WITHIN_DEG = 20.0
# Mean power of Y, Z and X below which a clip is skipped.
_SILENT_POWER = 1e-12
FACTS = ("num_sources", "moving")
_QUICK = (_RATIO, "strongest_deg", "within_20", "loudest_deg", "map_correlation")
_PUBLISHED = (
  "stft_distance", "log_spectral_db", "envelope_distance", "mean_squared_error",
  "signal_to_noise_db", "emd_dir_distance", "emd_dir2_distance",
)  # fmt: skip
METRICS = (*_QUICK, *_PUBLISHED)


def measure(
  target: np.ndarray,
  prediction: np.ndarray,
  tracks: np.ndarray,
  sample_rate_hz: float,
  channels: Optional[np.ndarray] = None,
  published: bool = True,
) -> dict[str, float]:
  """All metrics of a clip.

  Args:
    target: float `[samples, 4]`, the true field, W Y Z X.
    prediction: float `[samples, 4]`, the generated field.
    tracks: float `[steps, sources, 3]`, as in `sound_sources.compare`; all 0 if the sources are
      unknown.
    sample_rate_hz: sample rate of both fields.
    channels: bool `[4]`, channels of the true field to compare; None compares all.
    published: whether to compute the metrics of the paper too, which are slower.

  Returns:
    By name: `error_ratio`, `loudest_deg`, `map_correlation`; if sources are known, `num_sources`,
    the number of audible ones, `moving`, whether one of them moves, `strongest_deg`, and
    `within_20`, 0 or 1; with `published`, the metrics of the paper, averaged over Y, Z and X. {} if
    only W is audible.
  """
  known = np.ones(4, bool) if channels is None else channels
  target, prediction = target * known, prediction * known
  if np.mean(np.square(target[:, 1:])) < _SILENT_POWER:
    return {}
  velocity = target[:, 1:][:, known[1:]], prediction[:, 1:][:, known[1:]]
  found = {
    _RATIO: 10.0 ** (metrics.relative_error_db(*velocity, sample_rate_hz) / 10),
    "loudest_deg": metrics.angle_deg(
      metrics.strongest_direction(target), metrics.strongest_direction(prediction)
    ),
    "map_correlation": metrics.energy_map_correlation(target, prediction),
  }
  sources = sound_sources.compare(target, prediction, tracks, sample_rate_hz)
  if len(sources.angles_deg):
    found["num_sources"] = len(sources.angles_deg)
    found["moving"] = sources.moving.any()
    found["strongest_deg"] = sources.angles_deg[0]
    found["within_20"] = sources.angles_deg.max() <= _WITHIN_DEG
  if published:
    emd = metrics.earth_movers_distances(target, prediction, sample_rate_hz)
    values = (
      metrics.stft_distance(*velocity, sample_rate_hz).mean(),
      metrics.log_spectral_distance(*velocity, sample_rate_hz).mean(),
      metrics.envelope_distance(*velocity).mean(),
      metrics.mean_squared_error(*velocity).mean(),
      metrics.signal_to_noise_db(*velocity).mean(),
      *emd,
    )
    found.update(zip(_PUBLISHED, values))
  return {name: float(value) for name, value in found.items()}


def summarize(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
  """Means over the clips of each group.

  Args:
    rows: return values of `measure`, one per clip.

  Returns:
    By names such as `all_error_db`, `one_strongest_deg`, for groups that have clips. `num_all` etc.
    are numbers of clips, `num_unmeasured` is that of skipped clips.
  """
  result, counts = {}, {"num_unmeasured": sum(not row for row in rows)}
  for group in GROUPS:
    members = [row for row in rows if row and _is_in(group, row)]
    if members:
      counts[f"num_{group}"] = len(members)
    for name in METRICS:
      values = [row[name] for row in members if name in row]
      if values and name == _RATIO:
        result[f"{group}_{_ERROR_DB}"] = 10.0 * float(np.log10(np.mean(values)))
      elif values:
        result[f"{group}_{name}"] = float(np.mean(values))
  return {**result, **counts}


def _is_in(group: str, row: Mapping[str, float]) -> bool:
  sources = row.get("num_sources", 0)
  return {
    "all": True, "one": sources == 1, "several": sources > 1, "moving": row.get("moving", 0) > 0
  }[group]  # fmt: skip
