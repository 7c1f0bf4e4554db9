"""Sources of clips: each module lists what is to be built from one kind of input.

A source is a function that returns `(requests, label_names)`: a list of
`ClipRequest` in a stable order, and the names of the classes in the order of
their index, empty where the input has none.
"""
