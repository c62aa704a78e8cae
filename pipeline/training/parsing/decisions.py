"""What a network's answers mean in parsing: probabilities, which a gate turns into what is heard and seen."""

from dataclasses import dataclass

import numpy as np

from models.parsing.answers import Parsing
from pipeline.methods.settings import Gate
from pipeline.metrics.parsing_decoding import decode, gate_of
from pipeline.training.outputs import Outputs, finite_numbers


@dataclass(frozen=True)
class ParsingOutputs(Outputs):
    """The probabilities of a network about the clips of a split, all in double precision.

    Attributes
    ----------
    segment_probabilities : np.ndarray, shape (N, T, 2, C)
        That a category is heard (0), or seen (1), in a segment.
    audio_probabilities, visual_probabilities, global_probabilities : np.ndarray, shape (N, C)
        That it is heard, seen, or either, in the clip.
    """

    segment_probabilities: np.ndarray
    audio_probabilities: np.ndarray
    visual_probabilities: np.ndarray
    global_probabilities: np.ndarray

    @property
    def clip_probabilities(self) -> np.ndarray:
        """The probabilities about the clips: heard, seen, either, (N, 3, C)."""
        return np.stack([self.audio_probabilities, self.visual_probabilities, self.global_probabilities], axis=1)

    def decoded(self, gate: Gate, valid: np.ndarray) -> np.ndarray:
        """Return what is heard (0) and seen (1) in each segment, (N, 2, C, T) bool.

        Parameters
        ----------
        gate : {"global", "own"}
            The prediction about a clip without which nothing of a category counts in its segments: that of both
            modalities (HAN), or each modality's own (CPSP).
        valid : np.ndarray, shape (N, 2, T), bool
            Where a modality has media.
        """
        gates = gate_of(gate, self.global_probabilities, self.audio_probabilities, self.visual_probabilities)
        decoded: np.ndarray = decode(self.segment_probabilities, gates, valid=valid)
        return decoded


def decide(answer: Parsing) -> ParsingOutputs:
    """Return the probabilities of an answer.

    The weights of a clip's segments and modalities sum to 1 for each on their own, and together to up to 2: what the
    network gives as the probability of the whole clip may exceed 1, which counts as certain, as in its loss.

    Raises
    ------
    TrainingError
        If one is infinite or NaN.
    """
    return ParsingOutputs(
        finite_numbers(answer.segment_probabilities),
        finite_numbers(answer.audio_probabilities),
        finite_numbers(answer.visual_probabilities),
        finite_numbers(answer.global_probabilities).clip(max=1.0),
    )
