"""Sources of clips: each module lists the clips of one kind of input.

A source is a function that returns a `Listing`: requests in a stable order, class names in the
order of their index, and named subsets of the clips. Sources of published data sets read the
official lists. A listed file that is missing remains a request, and the build counts it as a
failure.
"""
