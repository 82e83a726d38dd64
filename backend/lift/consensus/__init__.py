"""`consensus`: no training. Supervoxels are joined where most masks show them as one object.

:mod:`~backend.lift.consensus.objects` makes objects of any regions; `unic-lift` gives it the regions of its codes.
"""
