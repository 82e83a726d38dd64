"""The result folder: a segmentation writes it, Blender imports it and writes edits back.

- ``splats.ply``: the Gaussians, with their label and confidence, in the frame of the capture.
- ``objects.json``: the table of objects, one row per label. A folder with this file is a result.
- ``objects/NNNN.ply``: the Gaussians of object NNNN alone. ``meshes/NNNN.ply``: its surface, if it has one.
- ``labels/VIEW.png``: a 16-bit id map per view. ``cameras.json``: the camera of every view at the size of its map.
- ``embedding.npy``: one row per Gaussian, if the method trained an embedding.
- ``evidence.npz``: what the masks say about small regions, if masks were lifted; ``corrections.json``: what the user
  corrected. Corrections are computed from both.
- ``report.json``: how the result was made. ``overview.png``, ``gallery/``: images for people.
- ``before-edits/``: the whole result before its first edit, if Blender has written edits back.

:mod:`.names` has the names and limits, :mod:`.folder` replaces a whole folder, and each other module handles one kind
of file. Files are validated here for both sides. Functions that read take the remedy for their errors (``remedy``),
because it differs between the command line and Blender.
"""
