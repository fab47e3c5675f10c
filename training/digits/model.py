"""A small residual network: He et al., 2016, "Deep Residual Learning", section 3.3."""

from torch import Tensor, nn

WIDTHS = (16, 32, 64)


class Block(nn.Module):
    """Two 3 x 3 convolutions around which the input is carried past."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = _convolution(inputs, outputs, 3, stride)
        self.second = _convolution(outputs, outputs, 3)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else _convolution(inputs, outputs, 1, stride)

    def forward(self, pixels: Tensor) -> Tensor:
        """[batch, inputs, height, width] to [batch, outputs, height / stride, width / stride]."""
        inner = self.second(self.first(pixels).relu())
        return (inner + self.shortcut(pixels)).relu()


class ResNet(nn.Module):
    """RGB images to scores of ten digits."""

    def __init__(self) -> None:
        super().__init__()
        self.embedder = nn.Sequential(_convolution(3, WIDTHS[0], 3), nn.ReLU())
        inputs = (WIDTHS[0], *WIDTHS)
        self.encoder = nn.Sequential(
            *(Block(i, o, 1 if i == o else 2) for i, o in zip(inputs, WIDTHS, strict=False))
        )
        self.classifier = nn.Linear(WIDTHS[-1], 10)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """float32 [batch, 3, 32, 32] to float32 [batch, 10]."""
        return self.classifier(self.encoder(self.embedder(pixel_values)).mean((2, 3)))


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))
