"""What the client and the server share: messages, frames, files stored by content, and the columns of Gaussians.

Imports only numpy, msgspec and plyfile; imports neither the backend nor Blender.
"""
