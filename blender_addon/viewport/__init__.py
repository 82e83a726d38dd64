"""Gaussians as the 3D viewport draws them before Blender 5.3: sorted, blended splats in the colours of photographs."""
