"""A torch network under attack: eleven workers, two of them hostile."""

import torch

import varangian


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = torch.nn.Linear(784, 32), torch.nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.relu(self.hidden(x.flatten(1))))


results = varangian.run(
    {
        "n": 11, "f": 2, "steps": 60, "dataset": "glyphs",
        "rule": ["average", "nnm | median"], "attack": ["none", "alie"],
    },
    model=Net,
)
for run in results:
    print(f"{run.rule:<13} {run.attack:<5} {100 * run.last:.1f} %")
