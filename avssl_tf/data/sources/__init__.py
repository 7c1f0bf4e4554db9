"""Sources of clips: each module lists what is to be built from one kind of input.

A source is a function that returns a `Listing`: requests in a stable order, the names of the
classes in the order of their index, and named selections of clips. Sources of published data sets
read the official lists; a file that these name and that is missing stays a request, so that the
build counts it.
"""
