"""What a figure shows, read from its artists."""

import numpy as np
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.colors import to_hex

from understanding_bn.figures import style


def lines(ax, norm=None, linestyle="-"):
    """(x, y) of every line with points, of a norm's colour if one is given."""
    return [
        np.array(line.get_data(), dtype=float)
        for line in ax.get_lines()
        if len(line.get_xdata()) and line.get_linestyle() == linestyle and _is_of(line.get_color(), norm)
    ]


def bands(ax, norm=None):
    """(x, low, high) of every band, of a norm's colour if one is given."""
    shown = []
    for band in ax.collections:
        if isinstance(band, PolyCollection) and _is_of(band.get_facecolor()[0], norm):
            corners = np.concatenate([path.vertices for path in band.get_paths()])
            places = np.unique(corners[:, 0])
            ends = [corners[corners[:, 0] == place, 1] for place in places]
            shown.append((places, np.array([end.min() for end in ends]), np.array([end.max() for end in ends])))
    return shown


def segments(ax, norm=None):
    """Both ends, (2, 2), of every error bar, of a norm's colour if one is given."""
    groups = [group for group in ax.collections if isinstance(group, LineCollection)]
    return [segment for group in groups if _is_of(group.get_color()[0], norm) for segment in group.get_segments()]


def dots(ax, norm=None, corners=None):
    """(n, 2) places of dots, of a norm's colour if one is given, and of markers with so many corners."""
    places = []
    for group in ax.collections:
        if isinstance(group, PathCollection):
            offsets, paths, colours = group.get_offsets(), group.get_paths(), group.get_facecolor()
            for number, place in enumerate(offsets):
                path, colour = paths[number % len(paths)], colours[number % len(colours)]
                if _is_of(colour, norm) and corners in (None, len(path.vertices)):
                    places.append(np.asarray(place, dtype=float))
    return np.array(places).reshape(-1, 2)


def markers(ax, norm=None, shape="o"):
    """(n, 2) places of the markers of this shape on lines, of a norm's colour if one is given."""
    lines_ = [line for line in ax.get_lines() if line.get_marker() == shape and _is_of(line.get_color(), norm)]
    return np.concatenate([np.empty((0, 2)), *(line.get_xydata() for line in lines_)])


def heatmaps(figure):
    """The axes of a figure that show a heat map, and its numbers."""
    meshes = [(ax, c) for ax in figure.axes for c in ax.collections if hasattr(c, "get_coordinates")]
    return [(ax, np.ma.filled(mesh.get_array(), np.nan)) for ax, mesh in meshes if ax.get_label() != "<colorbar>"]


def legends(figure):
    """The texts of all legends of a figure."""
    of_axes = [text for ax in figure.axes for text in legends_of(ax)]
    return of_axes + [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def legends_of(ax):
    """The texts of the legend of these axes, if they have one."""
    return [text.get_text() for text in ax.get_legend().get_texts()] if ax.get_legend() else []


def _is_of(colour, norm):
    return norm is None or to_hex(colour) == style.colours([norm])[norm].lower()
