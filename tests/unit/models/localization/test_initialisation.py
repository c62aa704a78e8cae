import torch
from torch import nn

from models.localization.initialisation import init_linear_weights


def test_linear_weights_are_drawn_in_order_and_everything_else_stays():
    network = nn.Sequential(nn.Linear(3, 4), nn.LSTM(4, 2), nn.ModuleDict({"inner": nn.Linear(4, 2, bias=False)}))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    torch.manual_seed(5)
    init_linear_weights(network)
    torch.manual_seed(5)
    expected = {"0.weight": torch.empty(4, 3), "2.inner.weight": torch.empty(2, 4)}
    for weight in expected.values():
        nn.init.xavier_uniform_(weight)
    for name, value in network.state_dict().items():
        assert torch.equal(value, expected.get(name, before[name])), name
    assert not torch.equal(before["0.weight"], expected["0.weight"])
