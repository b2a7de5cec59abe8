"""Maps and tokens in any order of axes come out as (B, C, h, w): compared with the network's own tensors."""

import pytest
import torch
from torch import nn
from torchvision.models import VisionTransformer, swin_t
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.swin_transformer import SwinTransformer

from ib_analysis.artifacts import UserError
from ib_analysis.encoders import NamedTaps, TappedNetwork, tap_shapes


def preprocess(images, size=(32, 48)):
    return nn.functional.interpolate(images.float() / 255, size=size, mode="bilinear").expand(-1, 3, -1, -1)


@pytest.fixture
def images():
    return torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def output_of(network, path, x):
    """What the module gives, as the network has it."""
    seen = []
    handle = network.get_submodule(path).register_forward_hook(lambda *found: seen.append(found[2]))
    with torch.no_grad():
        network.eval()(x)
    handle.remove()
    return seen[-1]


class Permuted(nn.Module):
    """Takes inputs of any size, and gives its maps in another order."""

    def __init__(self, *order, channels=5):
        super().__init__()
        self.body = nn.Conv2d(3, channels, 3, padding=1)
        self.turned = Turned(order)

    def forward(self, x):
        return self.turned(self.body(x))


class Turned(nn.Module):
    def __init__(self, order):
        super().__init__()
        self.order = order

    def forward(self, x):
        return x.permute(self.order)


class FixedSize(nn.Module):
    """Takes inputs of 8x8 only; its map has as many channels as rows, or not."""

    def __init__(self, channels, last=True):
        super().__init__()
        self.body = nn.Conv2d(3, channels, 1)
        self.mixed = nn.Linear(channels, channels)
        self.act = nn.GELU()
        self.last = last
        self.head = nn.Linear(64 * channels, 2)

    def forward(self, x):
        x = self.mixed(self.body(x).permute(0, 2, 3, 1)) if self.last else self.body(x)
        return self.head(self.act(x).flatten(1))


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (1, 0, 2, 3), (3, 2, 0, 1)])
def test_the_order_is_read_off_how_the_shape_follows_the_input(order, images):
    network = Permuted(*order, channels=32)  # as many channels as rows: sizes alone tell nothing
    found = NamedTaps(network, {"h1": "turned"}, preprocess).eval().taps(images)["h1"]
    torch.testing.assert_close(found, network.body(preprocess(images)))


def test_swin_transformers_keep_their_channels_last(images):
    torch.manual_seed(0)
    network = SwinTransformer([4, 4], 24, [1, 1], [2, 2], [4, 4], num_classes=3)
    paths = {"stage": "features.1", "merged": "features.2", "back": "permute", "pooled": "avgpool"}
    found = NamedTaps(network, paths, preprocess).eval().taps(images)
    x = preprocess(images)
    torch.testing.assert_close(found["stage"], output_of(network, "features.1", x).permute(0, 3, 1, 2))
    torch.testing.assert_close(found["merged"], output_of(network, "features.2", x).permute(0, 3, 1, 2))
    torch.testing.assert_close(found["back"], output_of(network, "permute", x))  # channels first already
    assert found["stage"].shape == (3, 24, 8, 12)
    assert found["pooled"].shape == (3, 48, 1, 1)


@pytest.mark.slow
def test_swin_t_at_its_own_size(images):
    tapped = NamedTaps(swin_t(weights=None), {"f": "features.1"}, lambda x: preprocess(x, (224, 224))).eval()
    assert tap_shapes(tapped, (1, 8, 8)) == {"f": (96, 56, 56)}


def test_convnext_turns_its_maps_inside_and_gives_them_channels_first(images):
    network = ConvNeXt([CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 1)], num_classes=3)
    found = NamedTaps(network, {"h1": "features.1", "inner": "features.1.0.block.2"}, preprocess).eval().taps(images)
    x = preprocess(images)
    torch.testing.assert_close(found["h1"], output_of(network, "features.1", x))
    torch.testing.assert_close(found["inner"], output_of(network, "features.1.0.block.2", x).permute(0, 3, 1, 2))


def test_tokens_of_a_vision_transformer_become_a_map_with_the_class_token_everywhere(images):
    """Takes 32x32 inputs only: the modules tell its axes, and its first convolution the grid."""
    network = VisionTransformer(32, 8, 1, 2, 12, 24, num_classes=3)
    block = "encoder.layers.encoder_layer_0"
    paths = {"tokens": block, "attention": f"{block}.self_attention[0]", "label": "heads"}
    tapped = NamedTaps(network, paths, lambda x: preprocess(x, (32, 32))).eval()
    found = tapped.taps(images)
    tokens = output_of(network, block, preprocess(images, (32, 32)))
    assert tokens.shape == (3, 1 + 4 * 4, 12)
    for row in range(4):
        for column in range(4):
            torch.testing.assert_close(found["tokens"][:, :12, row, column], tokens[:, 1 + 4 * row + column])
            torch.testing.assert_close(found["tokens"][:, 12:, row, column], tokens[:, 0])
    assert found["attention"].shape == (3, 24, 4, 4)
    assert found["label"].shape == (3, 3)


def test_tokens_before_images_are_turned(images):
    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches = nn.Conv2d(3, 8, 8, 8)
            self.block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0)  # (N, B, C)

        def forward(self, x):
            return self.block(self.patches(x).flatten(2).permute(2, 0, 1))

    network = Encoder().eval()
    found = NamedTaps(network, {"h1": "block"}, preprocess).taps(images)["h1"]
    expected = output_of(network, "block", preprocess(images)).permute(1, 2, 0).unflatten(2, (4, 6))
    torch.testing.assert_close(found, expected)


def test_modules_tell_where_the_size_of_the_input_is_fixed(images):
    fixed = lambda x: preprocess(x, (8, 8))  # noqa: E731
    for last in (True, False):
        network = FixedSize(5, last)
        tapped = NamedTaps(network, {"h1": "act"}, fixed).eval()
        expected = output_of(network, "act", fixed(images))
        torch.testing.assert_close(tapped.taps(images)["h1"], expected.permute(0, 3, 1, 2) if last else expected)


def test_ambiguous_axes_are_asked_for_and_can_be_said(images):
    fixed = lambda x: preprocess(x, (8, 8))  # noqa: E731
    network = FixedSize(8)
    with pytest.raises(UserError, match=r"shape \(2, 8, 8, 8\) for 2 images, whose axes are ambiguous.*'BHWC'"):
        NamedTaps(network, {"h1": "act"}, fixed).eval().taps(images)
    expected = output_of(network, "act", fixed(images)).permute(0, 3, 1, 2)
    for name in ("h1", "act"):  # by the tap's name, or by its path
        found = NamedTaps(network, {"h1": "act"}, fixed, axes={name: "bhwc"}).eval().taps(images)["h1"]
        torch.testing.assert_close(found, expected)


def test_axes_that_are_suggested_can_be_said():
    class Steps(nn.Module):
        """An LSTM that has its steps first, then the images."""

        def __init__(self):
            super().__init__()
            self.rows = nn.LSTM(8, 6)

        def forward(self, x):
            return self.rows(x[:, 0].permute(1, 0, 2))[0][-1]

    network, grey = Steps(), torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    with pytest.raises(UserError, match=r"ambiguous; say it, for instance axes=\{'h1': 'NBC' or 'CBN'\}"):
        NamedTaps(network, {"h1": "rows[0]"}, torch.Tensor.float).eval().taps(grey)
    tapped = NamedTaps(network, {"h1": "rows[0]"}, torch.Tensor.float, axes={"h1": "NBC"}).eval()
    assert tapped.taps(grey)["h1"].shape == (2, 6, 8, 1)


def test_a_shape_that_could_lie_either_way_is_not_told_by_one_module(images):
    class Back(nn.Module):
        """Channels last inside, first outside: as many as rows and columns."""

        def __init__(self):
            super().__init__()
            self.mixed, self.turned, self.head = nn.Linear(3, 8), Turned((0, 3, 1, 2)), nn.Linear(512, 2)

        def forward(self, x):
            return self.head(self.turned(self.mixed(x.permute(0, 2, 3, 1))).flatten(1))

    with pytest.raises(UserError, match="ambiguous"):
        NamedTaps(Back(), {"h1": "turned"}, lambda x: preprocess(x, (8, 8))).eval().taps(images)


@pytest.mark.parametrize(
    ("axes", "told"),
    [
        ({"h2": "BHWC"}, "axes names 'h2', which is no tap"),
        ({"h1": "BHWX"}, "use the letters of BC, BCHW or BCN"),
        ({"h1": "BC"}, "name each of its axes"),
        ({"h1": "CBHW"}, "name each of its axes"),
    ],
)
def test_wrong_axes_are_refused(axes, told, images):
    with pytest.raises(UserError, match=told):
        NamedTaps(Permuted(0, 1, 2, 3), {"h1": "turned"}, preprocess, axes).eval().taps(images)


class Odd(nn.Module):
    def __init__(self, change):
        super().__init__()
        self.body, self.odd, self.change = nn.Conv2d(3, 4, 8, 8), nn.Identity(), change

    def forward(self, x):
        return self.odd(self.change(self.body(x)))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda x: x.flatten(0, 1), "no axis counts the images"),  # windows among the images
        (lambda x: torch.ones(1, 7), "does not depend on the images"),
        (lambda x: x.flatten(1) @ x.flatten(1).T, "images are compared with each other"),
        (lambda x: x.flatten(2).transpose(1, 2) @ x.flatten(2), "ambiguous|axes"),
        (lambda x: x[:, :, None], "a tap must give a vector, tokens or a map"),
    ],
)
def test_what_is_no_map_per_image_is_refused(change, told, images):
    with pytest.raises(UserError, match=told):
        NamedTaps(Odd(change), {"h1": "odd"}, preprocess).eval().taps(images)


def test_taps_of_ones_own_class_are_checked_too():
    class Own(TappedNetwork):
        layers = ("h1",)

        def forward(self, images):
            return images

        def taps(self, images):
            return {"h1": images.permute(1, 0, 2, 3)}

    with pytest.raises(UserError, match=r"shape \(1, 2, 8, 8\) for 2 images"):
        tap_shapes(Own(), (1, 8, 8))


def test_recognition_draws_nothing_and_leaves_batch_statistics_alone(images):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
    tapped = NamedTaps(network, {"h1": "1"}, preprocess).train()
    torch.manual_seed(3)
    tapped.taps(images)
    assert int(network[1].num_batches_tracked) == 1
    drawn = torch.rand(1)
    torch.manual_seed(3)
    network(preprocess(images))
    assert torch.equal(drawn, torch.rand(1))
