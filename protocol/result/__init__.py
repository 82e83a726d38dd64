"""The result folder: a segmentation writes it, Blender imports it and writes edits back.

- ``splats.ply``: the Gaussians, with their label and confidence, in the frame of the capture.
- ``objects.json``: the table of objects, a row per label. Its presence makes a folder a result.
- ``objects/NNNN.ply``: the Gaussians of object NNNN alone. ``meshes/NNNN.ply``: its surface, where it has one.
- ``labels/VIEW.png``: a 16-bit id map per view. ``cameras.json``: the camera of every view at the size of its map.
- ``embedding.npy``: a row per Gaussian, where the method trained an embedding.
- ``report.json``: how the result was made. ``overview.png``, ``gallery/``: pictures for people.
- ``before-edits/``: the whole result before its first edit, where Blender has written edits back.

:mod:`.names` has the names and limits, :mod:`.folder` the replacement of a whole folder; each other module has one kind
of file. What is read from a folder is checked here, on both sides. Functions that read take the sentence that tells
the user what to do (``remedy``), as that differs between a command line and Blender.
"""
