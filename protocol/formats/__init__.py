"""File formats for Gaussians, one module per format, to and from the columns of :class:`protocol.splats.Splats`.

Each module has ``write(splats, path)``, which writes a new file and returns a sentence for each kind of value that it
had to clamp. Modules whose format can be read here also have ``read(file, path)``. Writing and reading again returns
the same values up to the quantisation of the format. :mod:`.registry` lists all formats, including those of meshes,
masks and labels; :mod:`.read` recognises a file by its content; :mod:`.write` writes one.
"""
