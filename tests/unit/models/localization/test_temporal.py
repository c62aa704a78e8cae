import pytest
import torch

from models.localization.temporal import TemporalEncoder, bidirectional_lstm, run_lstm


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return TemporalEncoder(visual_features=5, audio_features=4, hidden_features=3).double()


def restate(lstm, sequence, suffix):
    """Run one direction of an LSTM over (T, D), gate by gate, from a zero state."""
    hidden = cell = torch.zeros(lstm.hidden_size, dtype=sequence.dtype)
    states = []
    for features in sequence if not suffix else sequence.flip(0):
        gates = getattr(lstm, f"weight_ih_l0{suffix}") @ features + getattr(lstm, f"bias_ih_l0{suffix}")
        gates = gates + getattr(lstm, f"weight_hh_l0{suffix}") @ hidden + getattr(lstm, f"bias_hh_l0{suffix}")
        entering, forgetting, content, leaving = gates.chunk(4)
        cell = torch.sigmoid(forgetting) * cell + torch.sigmoid(entering) * torch.tanh(content)
        hidden = torch.sigmoid(leaving) * torch.tanh(cell)
        states.append(hidden)
    return torch.stack(states if not suffix else states[::-1])


def test_agrees_with_the_recurrence_in_both_directions(encoder):
    visual, audio = torch.randn(2, 4, 5).double(), torch.randn(2, 4, 4).double()
    encoded = encoder(visual, audio)
    for lstm, sequence, states in zip((encoder.visual, encoder.audio), (visual, audio), encoded, strict=True):
        for clip in range(2):
            both = [restate(lstm, sequence[clip], suffix) for suffix in ("", "_reverse")]
            torch.testing.assert_close(states[clip], torch.cat(both, dim=-1))


def test_clips_of_a_batch_do_not_see_each_other(encoder):
    visual, audio = torch.randn(2, 4, 5).double(), torch.randn(2, 4, 4).double()
    for together, alone in zip(encoder(visual, audio), encoder(visual[:1], audio[:1]), strict=True):
        torch.testing.assert_close(together[:1], alone)


def test_final_states_are_those_of_the_last_segment_forward_and_of_the_first_backward(encoder):
    visual, audio = torch.randn(2, 4, 5).double(), torch.randn(2, 4, 4).double()
    for found, sequence in zip(encoder.run(visual, audio), encoder(visual, audio), strict=True):
        torch.testing.assert_close(found.sequence, sequence)
        assert found.hidden.shape == found.cell.shape == (2, 2, 3)
        torch.testing.assert_close(found.hidden[:, 0], sequence[:, -1, :3])
        torch.testing.assert_close(found.hidden[:, 1], sequence[:, 0, 3:])


def test_a_sequence_goes_on_forward_where_its_beginning_ended():
    torch.manual_seed(0)
    lstm, features = bidirectional_lstm(5, 3).double(), torch.randn(2, 6, 5).double()
    beginning = run_lstm(lstm, features[:, :4])
    end = run_lstm(lstm, features[:, 4:], (beginning.hidden, beginning.cell))
    whole = run_lstm(lstm, features)
    torch.testing.assert_close(end.sequence[:, :, :3], whole.sequence[:, 4:, :3])
    torch.testing.assert_close(end.cell[:, 0], whole.cell[:, 0])
    assert not torch.isclose(end.sequence[:, :, 3:], whole.sequence[:, 4:, 3:]).all()
