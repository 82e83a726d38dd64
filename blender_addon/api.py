"""SplatLift for scripts: segment a capture on a server, import the result, export objects.

    client = api.connect("tcp://127.0.0.1:5757")
    job = api.segment(client, "/captures/kitchen", method="unic-lift", on_progress=print)
    collection = api.import_result(job.result(), display="SPLATS")
    api.export_object(collection.children[0], "/out/mug.ply")

Works in a window, in ``blender -b --python script.py`` and in the bpy module. All functions block until they are done,
except :func:`segment`: its job makes progress while :meth:`Segmentation.result` waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from protocol.address import parse
from protocol.coroutines import finish
from protocol.errors import BadArgument, Fault, Unavailable
from protocol.job_request import JobRequest
from protocol.messages import Constraint, Correct, MethodInfo, NameObjects, Select, SelectText, Target
from protocol.result.corrections import Kind, places_of
from protocol.result.names import MAX_LABEL
from protocol.words import check_word, check_words

from .client import correction, naming, selection
from .client.cache import Cache
from .client.connection import Connection
from .client.correction import Correction, bits_of
from .client.job import Job
from .client.job_list import JobList
from .client.local_server import LocalServer
from .client.selection import TextSelection, job_of
from .client.survey import Survey
from .client.survey import survey as look_through_folder

if TYPE_CHECKING:  # they need Blender, which this module does not require; this lets editors find them
    from .editing.assign import assign, assign_to_background
    from .editing.cleanup import clear_marks, mark_floaters, remove_marked
    from .editing.duplicate import duplicate
    from .editing.floaters import remove_floaters
    from .editing.forms import show_form
    from .editing.grow import grow, shrink
    from .editing.hulls import add_hulls
    from .editing.isolate import isolate, show_others
    from .editing.merge import merge
    from .editing.naming import recolour, rename
    from .editing.origin import set_origin
    from .editing.real_size import set_real_distance
    from .editing.remove import delete, delete_selection
    from .editing.saving import save_edits
    from .editing.similar import select_like
    from .editing.split import split_pieces, split_selection

PATIENCE = 10.0
"""Default timeout of :func:`connect`, in seconds."""
START = 60.0
"""Default timeout of :func:`server_here`, in seconds."""

Progress = Callable[[str, float, str], object]
"""Called with the stage, the share of it that is done from 0 to 1, and a short note."""
Told = Callable[[float, str], object]
"""Called with the share of a request that is done, from 0 to 1, and a short note."""


class Client:
    """A connection to a server; close it, or use it in a ``with`` statement.

    Attributes:
        connection: the connection and its state.
        job_list: the jobs that were submitted over it.
    """

    def __init__(self, job_list: JobList) -> None:
        self.connection = job_list.connection
        self.job_list = job_list

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def methods(self) -> list[MethodInfo]:
        """The lifting methods of the server."""
        return list(self.connection.server.methods) if self.connection.server else []

    def close(self) -> None:
        """Disconnect. Running jobs continue on the server, but this client no longer follows them."""
        self.connection.destroy()


class Segmentation:
    """A running job.

    Attributes:
        job: its state, stage, fraction and note.
    """

    def __init__(self, job: Job, on_progress: Progress | None) -> None:
        self.job = job
        self._on_progress = on_progress
        self._told: tuple[str, int, str] | None = None

    def result(self, timeout: float | None = None) -> Path:
        """Wait for the result and return its folder; ``on_progress`` is called meanwhile.

        Raises:
            Fault: as :meth:`blender_addon.client.job.Job.result`.
        """
        return self.job.result(timeout, self._tell)

    def cancel(self) -> None:
        """Request cancellation; :meth:`result` then raises Refused."""
        self.job.cancel()

    def _tell(self) -> None:
        told = (self.job.stage, int(self.job.fraction * 100), self.job.note)
        if self._on_progress is not None and told != self._told:
            self._told = told
            self._on_progress(self.job.stage, self.job.fraction, self.job.note)


@contextmanager
def server_here(
    program: Path | str, *arguments: str, timeout: float = START, cache: Path | str | None = None
) -> Iterator[str]:
    """Run a server on this machine for a ``with`` block, and give the block its address.

    Args:
        program: a Python with the backend installed, the folder of its environment, or the program ``backend``.
        arguments: further arguments of ``backend serve``.
        timeout: seconds to wait until the server prints its address.
        cache: folder for its log; default: that of the add-on's preferences.

    Raises:
        BadArgument: if there is no such program.
        Unavailable: if it cannot be started, or exits before it serves; the sentence contains its last line of output.
    """
    server = LocalServer(_cache(cache))
    server.start(Path(program), *arguments)
    try:
        yield server.wait_for_address(timeout)
    finally:
        server.stop(wait=True)


def survey(folder: Path | str) -> Survey:
    """Return what a scene folder contains, as the panel shows it before anything is uploaded.

    Raises:
        BadScene: as :func:`blender_addon.client.survey.survey`.
    """
    return finish(look_through_folder(Path(folder)))


def connect(
    address: str, pairing: str | None = None, *, timeout: float = PATIENCE, cache: Path | str | None = None
) -> Client:
    """Connect to a server and wait until it answers.

    Args:
        address: ``tcp://HOST:PORT``, as the server prints it.
        pairing: the server's pairing string, for an encrypted connection; required for other machines, and if the
            server encrypts on this one. The pairing string of the add-on's preferences is not used.
        timeout: seconds to wait.
        cache: folder for downloads; default: that of the add-on's preferences.

    Raises:
        BadArgument: if ``address`` is not an address, or ``pairing`` not a pairing string.
        Refused: if the server is on another machine and there is no pairing string, or Blender's online access is
            disabled; if the server rejects the pairing string, or only one side encrypts.
        Unavailable: if nothing answers in time.
        VersionMismatch: if the server is too old or too new.
    """
    where = parse(address)
    if not where.is_loopback:
        from .preferences import check_online

        check_online(where)
    job_list = JobList(Connection(), Cache(_cache(cache)))
    connection = job_list.connection
    try:
        connection.connect(address, pairing)
        connection.run(lambda: connection.state in ("connected", "error"), timeout)
        if connection.state != "connected":
            raise connection.error or Unavailable(
                f"No SplatLift server answered at {address} within {timeout:g} s.", "Start one: backend serve."
            )
    except BaseException:
        connection.destroy()
        raise
    return Client(job_list)


def segment(
    client: Client,
    folder: Path | str,
    method: str | None = None,
    *,
    splats: Path | str | None = None,
    masks: Path | str | None = None,
    test_views: str = "none",
    device: Literal["auto", "cuda", "cpu"] = "auto",
    seed: int = 0,
    steps: int | None = None,
    quality: Literal["draft", "standard", "high"] = "standard",
    settings: Mapping[str, bool | int | float | str] | None = None,
    masks_from: Literal["capture", "geometry"] = "capture",
    masks_model: str | None = None,
    level: Literal["whole", "part"] = "whole",
    background_ids: Sequence[int] = (),
    void_ids: Sequence[int] = (),
    long_side: int | None = None,
    max_gaussians: int | None = None,
    steer: bool = True,
    refine: bool | None = None,
    meshes: bool = True,
    textures: bool = False,
    gallery: bool = True,
    gpus: int = 1,
    on_progress: Progress | None = None,
) -> Segmentation:
    """Submit a scene folder for segmentation and return the job at once.

    The options are the fields of :class:`protocol.job_request.JobRequest`, the same as on the command line.

    Args:
        folder: the scene, in a layout that the server can read.
        method: a lifting method of the server; None for its recommended one.
        splats: a file of Gaussians inside the scene folder, used instead of a reconstruction.
        masks: a mask folder inside the scene folder, if it is not the default of the layout.
        test_views: test views, not used for training or lifting: "none", "last:0.2" (a fraction), "every:8", or "own"
            for those that the capture defines.
        device: the device that the server computes on.
        seed: random seed, below 2**32.
        steps: training steps of the reconstruction; None for the default of the quality.
        quality: limits the time of the reconstruction; a draft takes at most a third of the time of standard.
        settings: settings of the method that differ from its defaults.
        masks_from: "geometry" segments by shape alone and reads no masks.
        masks_model: the segmentation model, "owner/name", with which the server makes masks if the scene has none; None
            for a known model that the server has.
        level: whether overlapping masks give whole objects or their parts.
        background_ids: mask ids that mean background.
        void_ids: mask ids of unlabelled pixels.
        long_side: longest side of the photographs in the reconstruction, in pixels; None for the default of the
            quality.
        max_gaussians: most Gaussians of the reconstruction; None to derive it from quality and photographs.
        steer: whether more Gaussians grow where masks show objects.
        refine: whether labels are used to sharpen the edges of objects; None means yes, unless splats are given, the
            quality is draft or there are no masks.
        meshes: whether each object gets a mesh.
        textures: whether each mesh gets a texture from the photographs, in addition to vertex colours.
        gallery: whether the result contains images of the training, of test views and of a turntable of the objects.
        gpus: number of the server's GPUs that reconstruct together; experimental.
        on_progress: called while :meth:`Segmentation.result` waits.

    Raises:
        BadArgument: if the server does not have ``method``, an option is out of range, two options exclude each other,
            or ``masks`` or ``splats`` are not inside the scene folder.
    """
    names = [each.name for each in client.methods]
    if method is not None and method not in names:
        raise BadArgument(f"The method {method!r} does not exist.", f"Choose one of {', '.join(names)}.")
    request = JobRequest(
        method=method,
        splats=None if splats is None else str(splats),
        masks=None if masks is None else str(masks),
        test_views=test_views,
        device=device,
        seed=seed,
        steps=steps,
        quality=quality,
        settings=dict(settings or {}),
        masks_from=masks_from,
        masks_model=masks_model,
        level=level,
        background_ids=list(background_ids),
        void_ids=list(void_ids),
        long_side=long_side,
        max_gaussians=max_gaussians,
        steer=steer,
        refine=refine,
        meshes=meshes,
        textures=textures,
        gallery=gallery,
        gpus=gpus,
    )
    return Segmentation(client.job_list.submit(Path(folder), request), on_progress)


def select_similar(
    client: Client,
    result: Path | str,
    gaussian: int | None = None,
    *,
    pixel: tuple[str, int, int] | None = None,
    threshold: float = 0.7,
    hull: bool = True,
    timeout: float | None = 60.0,
) -> NDArray[np.bool_]:
    """Return which Gaussians of a result are similar to one of them, (N,) bool in the order of its ``splats.ply``.

    The server compares the embeddings that the result's method trained, or else the labels. The first request for a
    result takes a second or two, because the server has to open it; later ones are immediate.

    Args:
        result: a downloaded result folder, or the id of its job. The server must still have the result.
        gaussian: a row of ``splats.ply``.
        pixel: instead of ``gaussian``, a view's name with column and row of its label map.
        threshold: least cosine similarity of the embeddings, from -1 to 1.
        hull: whether to select all Gaussians inside the convex hull of the similar ones.
        timeout: seconds to wait.

    Raises:
        BadArgument: if not exactly one of ``gaussian`` and ``pixel`` is given, there is no such Gaussian or pixel, or
            it belongs to no object.
        NotFound: if the server does not have the result, or the result has no such view.
        Unavailable: if there is no answer in time, or the server is too old to select.
    """
    view, x, y = pixel or (None, 0, 0)
    wanted = Select(job_of(result), gaussian, view, x, y, threshold, hull)
    return client.connection.start(selection.select(client.connection, wanted)).result(timeout)


def select(
    client: Client,
    result: Path | str,
    *,
    text: str,
    model: str | None = None,
    on_progress: Told | None = None,
    timeout: float | None = 1800.0,
) -> TextSelection:
    """Return the objects of a result that a text names, with scores, and their Gaussians.

    The server looks for them with a zero-shot detector in several views. That takes seconds on a GPU and minutes on a
    CPU.

    Args:
        result: a downloaded result folder, or the id of its job. The server must still have the result.
        text: the name of an object in English, such as "green apple".
        model: a detector of the hub that the server has, "owner/name"; None for a known one.
        on_progress: called with the share of the work that is done, 0 to 1, and a note.
        timeout: seconds to wait.

    Raises:
        BadArgument: if the text is empty, too long or not in Latin letters, or ``model`` is no such detector.
        NotFound: if the server does not have the result.
        Unavailable: if there is no answer in time, the server is too old, or it lacks the packages or the model.
    """
    wanted = SelectText(job_of(result), check_word(text), model)
    steps = selection.select_text(client.connection, wanted, on_progress or _ignore)
    return client.connection.start(steps).result(timeout)


def name_objects(
    client: Client,
    result: Path | str,
    words: Sequence[str],
    *,
    model: str | None = None,
    on_progress: Told | None = None,
    timeout: float | None = 3600.0,
) -> dict[int, str]:
    """Name the objects of a result from a list of words, and return the new names by label.

    The names are kept on the server and in the downloaded folder, which becomes the new version. Objects that no word
    names keep their names, and a word that occurs twice gets a number, such as "cup 2".

    Args:
        result: a downloaded result folder, or the id of its job. The server must still have the result.
        words: English names, such as ["cup", "green apple"].
        model: a detector of the hub that the server has, "owner/name"; None for a known one.
        on_progress: called with the share of the work that is done, 0 to 1, and a note.
        timeout: seconds to wait.

    Raises:
        BadArgument: if the list is empty or too long, or a word is too long or not in Latin letters.
        NotFound: if the server does not have the result.
        Refused: if the folder was edited or the result was corrected elsewhere.
        Unavailable: if there is no answer in time, the server is too old, or it lacks the packages or the model.
    """
    wanted = NameObjects(job_of(result), check_words(words), model)
    steps = naming.name_objects(client.connection, client.job_list.cache, wanted, on_progress or _ignore)
    return client.connection.start(steps).result(timeout)


def correct(
    client: Client,
    result: Path | str,
    kind: Kind,
    *targets: int | Sequence[int] | NDArray[np.integer],
    here: bool = False,
    take: bool = False,
    timeout: float | None = 300.0,
) -> Correction:
    """Solve the objects of a result again under what you say about some of them, and return what changes.

    Similar mistakes elsewhere are corrected too. ``correction.lines()`` says in sentences what changes, and each move
    says whether it is elsewhere.

    Args:
        result: a downloaded result folder, or the id of its job. The server must still have the result.
        kind: "one" or "two": both targets are one object, or two; "there": the first belongs to the object of the
            second; "background": the target is background; "own": the target is a separate object.
        targets: one or two; each is the label of an object, or rows of ``splats.ply``.
        here: whether similar mistakes elsewhere stay.
        take: whether the change is kept: on the server, and in the downloaded folder, which becomes the new version.
            Without it nothing changes.
        timeout: seconds to wait.

    Raises:
        BadArgument: if the correction contradicts an earlier one, does nothing, or has the wrong number of targets.
        NotFound: if the server does not have the result, or the result lacks an object.
        BadResult: if the result has no evidence of masks, or was edited.
        Refused: if the change is to be kept, but the folder was edited or the result was corrected elsewhere.
        Unavailable: if there is no answer in time, or the server is too old.
    """
    of_result: list[Target] = []
    arrays: list[NDArray[np.uint8]] = []
    for target in targets:
        if isinstance(target, int | np.integer):
            if not 1 <= target <= MAX_LABEL:
                raise BadArgument(f"{target} is not the label of an object.", f"Give a label from 1 to {MAX_LABEL}.")
            of_result.append(Target(int(target)))
        else:
            of_result.append(Target(gaussians=len(arrays)))
            arrays.append(bits_of(np.asarray(target)))
    if len(targets) != places_of(kind):
        raise BadArgument(f"A correction of the kind {kind} needs {places_of(kind)} targets, not {len(targets)}.")
    wanted = Correct(job_of(result), [Constraint(kind, of_result, here)])
    return _correct(client, wanted, arrays, take, timeout)


def undo_correction(
    client: Client, result: Path | str, *, take: bool = False, timeout: float | None = 300.0
) -> Correction:
    """Undo the last correction of a result, and return what changes. Arguments and errors: :func:`correct`.

    Raises:
        BadArgument: if the result has no corrections.
    """
    return _correct(client, Correct(job_of(result), undo=True), [], take, timeout)


def _correct(
    client: Client, wanted: Correct, arrays: list[NDArray[np.uint8]], take: bool, timeout: float | None
) -> Correction:
    connection = client.connection
    if take:
        steps = correction.correct_and_renew(connection, client.job_list.cache, wanted, arrays)
    else:
        steps = correction.correct(connection, wanted, arrays)
    return connection.start(steps).result(timeout)


def import_result(
    result: Path | str,
    display: Literal["POINTS", "MESH", "SPLATS"] = "POINTS",
    *,
    up: Literal["AUTO", "X", "-X", "Y", "-Y", "Z", "-Z"] = "AUTO",
    scale: float = 1.0,
    cameras: bool = False,
    photographs: Path | str | None = None,
    origin: Literal["CAPTURE", "BASE", "CENTRE"] = "CAPTURE",
) -> Any:
    """Import a result folder and return the scene's collection, whose children are one collection per object.

    Args:
        result: the result folder.
        display: "POINTS", "SPLATS", or "MESH" for surfaces with the Gaussians hidden beneath.
        up: the axis of the capture that points up in Blender; "AUTO" for the one in the result.
        scale: metres in Blender per unit of the capture.
        cameras: whether the capture's cameras are imported too.
        photographs: the capture's folder, to show the photographs as background images of the cameras.
        origin: of objects, about which they turn and scale: that of the capture, the middle of their base, or their
            centre.

    Raises:
        Fault: as :func:`blender_addon.session.import_folder`.
    """
    from . import session

    capture = None if photographs is None else Path(photographs)
    return session.import_folder(
        Path(result), display, up=up, scale=scale, cameras=cameras, photographs=capture, origin=origin
    )


def add_cameras(scene: Any, photographs: Path | str | None = None) -> Any:
    """Add the capture's cameras to an imported scene, replacing existing ones, and return their collection.

    Args:
        scene: the scene's collection.
        photographs: the capture's folder, to show the photographs as background images of the cameras.

    Raises:
        Fault: as :func:`blender_addon.session.import_cameras`.
    """
    from . import session

    return session.import_cameras(scene, None if photographs is None else Path(photographs))


def look_through(camera: Any) -> None:
    """Make a camera of the capture the active camera, with its render size and pixel aspect."""
    import bpy

    from .splats import cameras

    cameras.look_through(camera, bpy.context.scene)


def show_colours(colours: Literal["PHOTOGRAPHS", "LABELS", "CONFIDENCE"]) -> None:
    """Show all imported objects in the colours of the photographs, of their labels, or of the confidence of labels.

    Raises:
        BadArgument: if ``colours`` has another value.
    """
    from .splats.painting import show_colours

    if colours not in ("PHOTOGRAPHS", "LABELS", "CONFIDENCE"):
        raise BadArgument(f"The colours {colours!r} do not exist.", "Choose PHOTOGRAPHS, LABELS or CONFIDENCE.")
    show_colours(colours)


def show_as(scene: Any, display: Literal["POINTS", "SPLATS", "DISCS"], budget: int | None = None) -> None:
    """Show the Gaussians of an imported scene as points, as splats, or as the discs that are rendered.

    Args:
        display: the add-on draws "SPLATS" in the views of a window, and renders show discs.
        budget: most discs that views show, a random subset if there are more Gaussians; default: 200,000.

    Raises:
        BadArgument: if ``display`` has another value, or ``budget`` is not positive.
    """
    import bpy

    from .splats import collections
    from .splats.display import see_through

    if display not in ("POINTS", "SPLATS", "DISCS"):
        raise BadArgument(f"The display {display!r} does not exist.", "Choose POINTS, SPLATS or DISCS.")
    if budget is not None and budget < 1:
        raise BadArgument(f"{budget} is not a valid number of discs.", "Choose 1 or more.")
    if display != "POINTS":
        see_through(bpy.context.scene)
    collections.show_as(scene, display, budget)


def export_object(
    collections: Any,
    path: Path | str,
    *,
    frame: Literal["CAPTURE", "WORLD"] = "CAPTURE",
    name: str | None = None,
    labels: bool = False,
) -> int:
    """Export one or several collections to one file, with transforms applied; return the number of Gaussians.

    Warns about data that the format cannot store.

    Args:
        name: a format for Gaussians, such as "spz"; default: by the ending of ``path``.
        labels: whether labels are written too, in the file, or next to it if the format cannot store them.

    Raises:
        Fault: as :func:`blender_addon.splats.export.export_objects`.
    """
    from .splats.export import export_objects

    return export_objects(_several(collections), Path(path), frame=frame, name=name, labels=labels)


def export_scene(
    scene: Any,
    path: Path | str,
    *,
    background: bool = True,
    frame: Literal["CAPTURE", "WORLD"] = "CAPTURE",
    name: str | None = None,
    labels: bool = False,
) -> int:
    """Export a whole scene in its current state, with or without its background; return the number of Gaussians.

    Args and warnings are the same as for :func:`export_object`.

    Raises:
        Fault: as :func:`blender_addon.splats.export.export_objects`.
    """
    from .splats.export import export_objects

    return export_objects([scene], Path(path), background=background, frame=frame, name=name, labels=labels)


def export_mesh(collections: Any, path: Path | str) -> int:
    """Export the surfaces of one or several collections to one file; return the number of faces.

    Raises:
        Fault: as :func:`blender_addon.splats.export_mesh.export_meshes`.
    """
    from .splats.export_mesh import export_meshes

    return export_meshes(_several(collections), Path(path))


EDITS = {
    "rename": "naming",
    "recolour": "naming",
    "merge": "merge",
    "duplicate": "duplicate",
    "delete": "remove",
    "isolate": "isolate",
    "show_others": "isolate",
    "split_selection": "split",
    "split_pieces": "split",
    "assign": "assign",
    "assign_to_background": "assign",
    "delete_selection": "remove",
    "remove_floaters": "floaters",
    "mark_floaters": "cleanup",
    "remove_marked": "cleanup",
    "clear_marks": "cleanup",
    "show_form": "forms",
    "set_origin": "origin",
    "add_hulls": "hulls",
    "set_real_distance": "real_size",
    "select_like": "similar",
    "grow": "grow",
    "shrink": "grow",
    "save_edits": "saving",
}
"""Edits of imported objects, with the module of :mod:`blender_addon.editing` that documents each."""


if not TYPE_CHECKING:  # otherwise type checkers would accept every name

    def __getattr__(name: str) -> Any:
        """Import an edit on first use and return it."""
        if name not in EDITS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f".editing.{EDITS[name]}", __package__), name)


def __dir__() -> list[str]:
    return __all__


def _ignore(fraction: float, note: str) -> None:
    """Do nothing with the progress of a request."""


def _cache(chosen: Path | str | None) -> Path:
    if chosen is not None:
        return Path(chosen)
    from .preferences import cache_folder

    return cache_folder()


def _several(collections: Any) -> list[Any]:
    return list(collections) if isinstance(collections, Iterable) else [collections]


__all__ = [
    "Client",
    "Correction",
    "Fault",
    "Segmentation",
    "TextSelection",
    "add_cameras",
    "add_hulls",
    "assign",
    "assign_to_background",
    "clear_marks",
    "connect",
    "correct",
    "delete",
    "delete_selection",
    "duplicate",
    "export_mesh",
    "export_object",
    "export_scene",
    "grow",
    "import_result",
    "isolate",
    "look_through",
    "mark_floaters",
    "merge",
    "name_objects",
    "recolour",
    "remove_floaters",
    "remove_marked",
    "rename",
    "save_edits",
    "segment",
    "select",
    "select_like",
    "select_similar",
    "server_here",
    "set_origin",
    "set_real_distance",
    "show_as",
    "show_colours",
    "show_form",
    "show_others",
    "shrink",
    "split_pieces",
    "split_selection",
    "survey",
    "undo_correction",
]
