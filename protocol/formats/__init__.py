"""Files of Gaussians, one module a format: the columns of :class:`protocol.splats.Splats` there and back.

Each module has ``write(splats, path)``, which writes a fresh file and returns a sentence for each kind of value that it
had to bound, and ``read(file, path)`` where the format is read here too. What was written and is read again is the same
within the steps of the format. :mod:`.registry` lists all formats, those of meshes, masks and labels among them;
:mod:`.read` recognises a file by what it holds; :mod:`.write` writes it.
"""
