"""`consensus`: no training. Supervoxels are joined if most masks show them as one object.

:mod:`~backend.lift.consensus.objects` joins any regions; `unic-lift` uses it for the regions of its codes.
"""
