"""Interactive plotly charts of a report."""

from collections.abc import Mapping, Sequence
from typing import Optional

import numpy as np
import plotly.graph_objects as go
from markupsafe import Markup

from avssl_tf.foreign_text import chart_text

_HEIGHT = 320
_LAYOUT = {
  "template": "plotly_white",
  "height": _HEIGHT,
  "margin": {"l": 55, "r": 15, "t": 40, "b": 45},
  "font": {"size": 12},
  "legend": {"orientation": "h", "y": -0.25},
}


def curves(title: str, lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Markup:
  """Lines over the steps of a run.

  Args:
    title: title of the chart.
    lines: steps and values by name.
  """
  figure = go.Figure()
  for name, (steps, values) in lines.items():
    mode = "lines" if len(steps) > 12 else "lines+markers"
    figure.add_scatter(x=list(steps), y=list(values), name=chart_text(name), mode=mode)
  figure.update_layout(
    title=chart_text(title), xaxis_title="step", hovermode="x unified", **_LAYOUT
  )
  return _html(figure)


def histogram(
  title: str, values: Mapping[str, np.ndarray], axis: str, num_bins: int = 50
) -> Markup:
  """Overlaid histograms of the values of one or several groups.

  Args:
    title: title of the chart.
    values: float `[n]`, by the name of the group.
    axis: title of the axis of the values.
    num_bins: number of bins over the range of all values.
  """
  everything = np.concatenate(list(values.values()))
  edges = np.histogram_bin_edges(everything, num_bins)
  middles = ((edges[:-1] + edges[1:]) / 2).round(4)
  figure = go.Figure()
  for name, group in values.items():
    counts = np.histogram(group, edges)[0]
    figure.add_bar(x=middles.tolist(), y=counts.tolist(), name=chart_text(name), opacity=0.65)
  figure.update_layout(
    title=chart_text(title),
    xaxis_title=axis,
    yaxis_title="videos",
    barmode="overlay",
    bargap=0,
    **_LAYOUT,
  )
  return _html(figure)


def points(
  title: str,
  places: np.ndarray,
  groups: Sequence[str],
  texts: Sequence[Sequence[str]],
  symbols: Optional[Sequence[str]] = None,
) -> Markup:
  """A scatter plot, coloured by group, with a text for each point on hover.

  Args:
    title: title of the chart.
    places: float `[n, 2]`, coordinates.
    groups: group of each point.
    texts: lines of text of each point.
    symbols: plotly symbol of each point; None: circles.
  """
  groups, symbols = np.array(groups), np.array(symbols or ["circle"] * len(texts))
  figure = go.Figure()
  for group in sorted(set(groups.tolist())):
    which = np.flatnonzero(groups == group)
    figure.add_scatter(
      x=places[which, 0].round(3).tolist(),
      y=places[which, 1].round(3).tolist(),
      text=["<br>".join(map(chart_text, texts[i])) for i in which],
      name=chart_text(group),
      mode="markers",
      marker={"symbol": symbols[which].tolist(), "size": 7, "opacity": 0.75},
      hovertemplate="%{text}",
    )
  figure.update_layout(title=chart_text(title), **{**_LAYOUT, "height": 620})
  figure.update_xaxes(visible=False)
  figure.update_yaxes(visible=False, scaleanchor="x")
  return _html(figure)


def _html(figure: go.Figure) -> Markup:
  config = {"displaylogo": False, "responsive": True}
  return Markup(figure.to_html(full_html=False, include_plotlyjs=False, config=config))
