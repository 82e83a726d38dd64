"""`consensus`: no training. Supervoxels, joined where the masks keep calling them one object.

:mod:`~backend.lift.consensus.objects` makes objects of any regions; `unic-lift` gives it the regions of its codes.
"""
