"""Makes masks of photographs with segmentation models of transformers: a folder of scored masks."""

from backend.segmenter.fetch import get_weights as get_weights
from backend.segmenter.folder import continue_in as continue_in
from backend.segmenter.run import make_masks as make_masks
from backend.segmenter.run import maker_of as maker_of
from backend.segmenter.scene_masks import scene_to_mask as scene_to_mask
from backend.segmenter.scene_masks import views_to_mask as views_to_mask
from backend.segmenter.weights import default_model as default_model
from backend.segmenter.weights import describe as describe
from backend.segmenter.weights import find_known as find_known
from backend.segmenter.weights import find_weights as find_weights
from backend.segmenter.weights import known_models as known_models
from backend.segmenter.weights import not_here as not_here
