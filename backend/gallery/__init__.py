"""Images of a result: training curve, held-out views, and a turntable of the scene."""

from backend.gallery.curve import Curve as Curve
from backend.gallery.curve import draw_curve as draw_curve
from backend.gallery.held_out import held_out_page as held_out_page
from backend.gallery.turntable import turntable as turntable
from backend.gallery.turntable import write_gif as write_gif
