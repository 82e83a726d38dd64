"""The add-on's preferences, and the defaults if it is not installed as an add-on."""

# pyright: reportInvalidTypeForm=false
# Blender takes the properties of a class from its annotations.

from pathlib import Path
from typing import Any

import bpy

from protocol.address import DEFAULT, Address
from protocol.errors import Refused, Unavailable

CACHE_LIMIT = 20_000_000_000
"""Limit of the download cache in bytes, if the add-on is not installed."""
PACKAGE = __package__ or "blender_addon"


class SplatLiftPreferences(bpy.types.AddonPreferences):
    """Server address and download folder."""

    bl_idname = PACKAGE

    address: bpy.props.StringProperty(
        name="Server",
        description="Address of the server, as printed when it starts",
        default=DEFAULT,
    )
    pairing: bpy.props.StringProperty(
        name="Pairing String",
        description="Printed by a server on another machine at its first start, and by 'backend pairing'. Stored "
        "unencrypted in Blender's preferences. Not needed for a server on this machine",
        subtype="PASSWORD",
    )
    environment: bpy.props.StringProperty(
        name="Backend",
        description="Python in which SplatLift's backend is installed, or its program 'backend'. Used by Start a "
        "Server Here",
        subtype="FILE_PATH",
    )
    cache: bpy.props.StringProperty(
        name="Cache",
        description="Folder for downloaded results. If empty, a folder of Blender is used",
        subtype="DIR_PATH",
    )

    cache_limit: bpy.props.FloatProperty(
        name="Keep at Most (GB)",
        description="Size limit of downloads. The oldest are deleted first, except those of listed captures and of "
        "scenes in the open file",
        default=20.0,
        min=0.0,
        soft_max=1000.0,
    )

    def draw(self, context: Any) -> None:
        self.layout.use_property_split = True
        self.layout.prop(self, "address")
        self.layout.prop(self, "pairing")
        self.layout.prop(self, "environment")
        self.layout.prop(self, "cache")
        self.layout.prop(self, "cache_limit")


def preferences() -> Any:
    """Return the preferences, or None if the add-on is not installed, as in a source tree."""
    addon = bpy.context.preferences.addons.get(PACKAGE)
    return addon.preferences if addon else None


def address() -> str:
    known = preferences()
    return known.address if known else DEFAULT


def pairing() -> str | None:
    """Return the pairing string, a secret, or None if none was entered."""
    known = preferences()
    return known.pairing.strip() or None if known else None


def check_online(where: Address) -> None:
    """Check that Blender may access the network for this server.

    Raises:
        Refused: if the server is on another machine and Blender's online access is disabled.
    """
    if not where.is_loopback and not bpy.app.online_access:
        raise Refused(
            f"Online access is disabled in Blender, but the server at {where} is on another machine.",
            "Enable Preferences > System > Network > Allow Online Access.",
        )


def environment() -> Path | None:
    """Return the program that runs a local server, or None if none is chosen."""
    known = preferences()
    return Path(bpy.path.abspath(known.environment)) if known and known.environment else None


def cache_folder() -> Path:
    """Return the folder for downloads, which may not exist yet.

    Raises:
        Unavailable: if Blender has no writable user folder.
    """
    known = preferences()
    if known and known.cache:
        return Path(bpy.path.abspath(known.cache))
    try:
        if PACKAGE.startswith("bl_ext."):
            return Path(bpy.utils.extension_path_user(PACKAGE, path="cache"))
        return Path(bpy.utils.user_resource("DATAFILES", path="splatlift"))
    except (OSError, ValueError) as error:
        raise Unavailable(
            f"Blender has no folder for downloads: {error}.", "Choose a folder in the preferences."
        ) from error


def cache_limit() -> int:
    """Return the limit of the download cache in bytes."""
    known = preferences()
    return round(known.cache_limit * 1e9) if known else CACHE_LIMIT


CLASSES = (SplatLiftPreferences,)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
