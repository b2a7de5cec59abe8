"""Readers: what a layer adds to a base. A new one is its base, any one is a causal distribution over images."""

from __future__ import annotations

import copy
import dataclasses
import math

import pytest
import torch
from decoder_builders import CELLS, all_images, build, conditions
from hypothesis import given, settings
from hypothesis import strategies as st
from reader_builders import OUTPUTS, build_reader, fitted_reader, random_images, shake

from decoders import Cell, Condition, ImageSpace, PixelCNNPP, PixelCNNPPConfig, Reader, ReaderArchitecture
from decoders.dropout import set_dropout_stream
from decoders.matrices import matrices_of

SHAPES = [(3,), (3, 1, 1), (2, 1, 2), (2, 2, 2), (2, 3, 3), (1, 4, 4), (2, 4, 2), (1, 8, 8), (1, 5, 9)]


def one_cell(shape: tuple[int, ...]) -> tuple[Cell, ...]:
    return (Cell("cell", "layer", shape),)


# ---------------------------------------------------------------------------------------------- the base below


@pytest.mark.parametrize(("output", "channels"), OUTPUTS)
def test_a_new_reader_has_exactly_the_code_lengths_of_its_base(output: str, channels: int) -> None:
    image = ImageSpace(channels, 4, 4, 6)
    x = random_images(image, 2)
    for shape in SHAPES:
        cells = one_cell(shape)
        reader = build_reader(image, output, cells)
        with torch.no_grad():
            known = reader().log_prob(x)
            assert torch.equal(reader(conditions(cells)).log_prob(x), known)
            assert torch.equal(reader(conditions(cells)).channel_log_prob(x), reader().channel_log_prob(x))
            # Rounding features to float16 is all that distinguishes it from the base.
            torch.testing.assert_close(known, reader.base().log_prob(x), rtol=1e-3, atol=0.01)


@pytest.mark.parametrize(("output", "channels"), OUTPUTS)
def test_without_a_condition_a_fitted_reader_still_is_its_base_with_rounded_features(
    output: str, channels: int
) -> None:
    image = ImageSpace(channels, 4, 4, 6)
    reader = fitted_reader(image, output)
    base, x = reader.base, random_images(image, 6)
    given = conditions(CELLS)
    with torch.no_grad():
        features = base.last_features(base.input_features(x), None).half().double()
        expected = base.output.log_prob(base.readout(features), x).sum((1, 2))
        assert torch.equal(reader().log_prob(x), expected)
        everywhere = torch.ones(6, dtype=torch.bool)
        assert torch.equal(reader(given, everywhere).log_prob(x), expected)
        assert torch.equal(reader(None, everywhere).log_prob(x), expected)
        read = reader(given).log_prob(x)
        assert (read - expected).abs().min() > 1e-3, "a reader that reads nothing shows nothing"
        mask = torch.tensor([True, False, True, False, False, True])
        assert torch.equal(reader(given, mask).log_prob(x), torch.where(mask, expected, read))


def test_marked_pixels_of_the_base_are_its_own() -> None:
    image = ImageSpace(1, 4, 4, 4)
    torch.manual_seed(0)
    architecture = build(image, "categorical").config.architecture
    base = PixelCNNPP(PixelCNNPPConfig(image, architecture, marked_pixels=(0, 5))).double()
    shake(base)
    reader = Reader(base, ReaderArchitecture(width=4), CELLS).double()
    assert reader.config.marked_pixels == (0, 5)
    x = random_images(image, 3)
    with torch.no_grad():
        torch.testing.assert_close(reader().log_prob(x), base().log_prob(x), rtol=0, atol=0.02)


# ---------------------------------------------------------------------------------------------- a distribution


@pytest.mark.parametrize(
    ("image", "output"),
    [
        (ImageSpace(1, 2, 2, 5), "logistic_mixture"),
        (ImageSpace(1, 2, 2, 5), "categorical"),
        (ImageSpace(1, 3, 3, 2), "categorical"),
        (ImageSpace(3, 1, 3, 2), "logistic_mixture"),
        (ImageSpace(3, 1, 3, 2), "categorical"),
    ],
    ids=str,
)
def test_probabilities_of_all_images_sum_to_one(image: ImageSpace, output: str) -> None:
    images = all_images(image)
    for seed, shape in enumerate([(3, 1, 2), (4,)]):
        cells = one_cell(shape)
        reader = fitted_reader(image, output, cells, seed=seed)
        activations = torch.randn(1, *shape, dtype=torch.float64).expand(len(images), *shape)
        with torch.no_grad():
            for condition in (Condition(activations, "cell"), None):
                assert abs(float(reader(condition).log_prob(images).exp().sum()) - 1) < 1e-6


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**31), by=st.sampled_from([0.1, 1.0, 3.0]), kind=st.sampled_from(OUTPUTS))
def test_normalisation_holds_for_any_weights(seed: int, by: float, kind: tuple[str, int]) -> None:
    output, channels = kind
    image, cells = ImageSpace(channels, 1, 2, 3), one_cell((2, 1, 2))
    reader = build_reader(image, output, cells, seed=seed % 1000)
    torch.manual_seed(seed)
    shake(reader, by)
    images = all_images(image)
    activations = torch.randn(1, 2, 1, 2, dtype=torch.float64).expand(len(images), -1, -1, -1)
    with torch.no_grad():
        assert abs(float(reader(activations).log_prob(images).exp().sum()) - 1) < 1e-6


@pytest.mark.parametrize(("output", "channels"), OUTPUTS)
def test_parameters_depend_on_all_earlier_pixels_and_on_no_other(output: str, channels: int) -> None:
    image = ImageSpace(channels, 4, 5, 7)
    reader = fitted_reader(image, output, blocks=3)
    # Not rounded to float16, in which the faintest influences vanish.
    reader.stored = lambda images: reader.base.last_features(reader.base.input_features(images), None)
    n = 20
    x = random_images(image, 1)
    # One image per pixel, in which all channels of that pixel are changed.
    changed = x.expand(n, -1, -1, -1).clone().flatten(2)
    for pixel in range(n):
        changed[pixel, :, pixel] = (changed[pixel, :, pixel] + 3) % 7
    everything = torch.cat([x, changed.view(n, channels, 4, 5)])
    given = Condition(torch.randn(1, 3, 2, 2, dtype=torch.float64).expand(n + 1, -1, -1, -1), "early/map")
    with torch.no_grad():
        parameters = reader.output_parameters(everything, reader(given).terms).flatten(2)
        alone = reader.base.readout(reader.base_features(everything)).flatten(2)
    seen = (parameters[1:] - parameters[:1]).abs().amax(1) > 1e-12  # (changed pixel, pixel that sees it)
    later = torch.ones(n, n).triu(1).bool()
    assert not (seen & ~later).any(), "a pixel sees itself or a later one"
    assert seen[later].all(), "an earlier pixel is missed"
    # What the reader adds sees near pixels by itself: its blocks reach over two rows and three columns.
    added = ((parameters - alone)[1:] - (parameters - alone)[:1]).abs().amax(1) > 1e-9
    assert not (added & ~later).any()
    assert added[later].float().mean() > 0.8


def test_the_causal_part_alone_sees_earlier_pixels_and_no_other() -> None:
    """With the base's features held, so that nothing of what it sees hides behind them."""
    image = ImageSpace(1, 5, 6, 7)
    reader = fitted_reader(image, "categorical")
    x = random_images(image, 1)
    read, own = reader(Condition(torch.randn(1, 4, dtype=torch.float64), "late/vector")).terms[0]
    features = reader.base_features(x).double()
    pixels = reader.base.input_features(x).double().requires_grad_()
    changes = reader.changes(features, pixels, read.detach(), own.detach())
    read_out = (changes * torch.randn(1, changes.shape[1], 1, 1, dtype=torch.float64)).sum(1).flatten()
    seen = torch.zeros(30, 30, dtype=torch.bool)
    for pixel in range(30):
        (gradient,) = torch.autograd.grad(read_out[pixel], pixels, retain_graph=True)
        seen[pixel] = (gradient[0] != 0).any(0).flatten()
    assert not (seen & ~torch.ones(30, 30).tril(-1).bool()).any()
    for pixel in range(30):
        row, column = divmod(pixel, 6)
        for down, right in ((0, -1), (0, -2), (0, -4), (-1, 0), (-1, 2), (-2, -2), (-2, 2), (-3, 1), (-4, 0)):
            if row + down >= 0 and 0 <= column + right < 6:
                assert seen[pixel, (row + down) * 6 + column + right]


@pytest.mark.parametrize("output", ["logistic_mixture", "categorical"])
def test_a_channel_sees_exactly_the_earlier_channels_of_its_pixel(output: str) -> None:
    image = ImageSpace(3, 2, 3, 6)
    reader = fitted_reader(image, output)
    given = conditions(CELLS[:1], 1)
    x = torch.randint(1, 5, (1, 3, 2, 3))
    with torch.no_grad():
        before = reader(given).channel_log_prob(x)
        for channel in range(3):
            y = x.clone()
            y[:, channel, 1, 1] += 1
            difference = (reader(given).channel_log_prob(y) - before).abs()
            assert (difference[:, :, 0] == 0).all(), "an earlier row sees it"
            assert (difference[:, :, 1, 0] < 1e-12).all(), "an earlier pixel sees it"
            assert (difference[:, :channel, 1, 1] < 1e-12).all(), "an earlier channel sees a later one"
            assert (difference[:, channel:, 1, 1] > 1e-9).all(), "a later channel misses an earlier one"
            assert (difference[:, :, 1, 2] > 1e-9).all(), "a later pixel misses it"


def test_every_activation_reaches_the_image() -> None:
    image = ImageSpace(1, 4, 4, 6)
    for shape in SHAPES:
        reader = fitted_reader(image, "categorical", one_cell(shape))
        activations = torch.randn(1, *shape, dtype=torch.float64, requires_grad=True)
        reader(activations).log_prob(random_images(image, 1)).sum().backward()
        assert activations.grad is not None
        assert (activations.grad != 0).all()


def test_conditions_beside_each_other_are_read_together() -> None:
    image = ImageSpace(1, 4, 4, 6)
    reader = fitted_reader(image)
    x = random_images(image, 2)
    map_, vector = (torch.randn(2, *cell.shape, dtype=torch.float64) for cell in (CELLS[0], CELLS[2]))
    alone = Condition(map_, CELLS[0].name)
    both = Condition(map_, CELLS[0].name, beside=(Condition(vector, CELLS[2].name),))
    other = Condition(map_, CELLS[0].name, beside=(Condition(vector + 1, CELLS[2].name),))
    with torch.no_grad():
        lengths = [reader(condition).log_prob(x) for condition in (alone, both, other)]
    assert all((one - two).abs().min() > 1e-6 for one, two in [lengths[:2], lengths[1:], lengths[::2]])


def test_parts_of_a_minibatch_do_not_touch_each_other() -> None:
    image = ImageSpace(1, 4, 4, 6)
    reader = fitted_reader(image)
    x, parts = random_images(image, 6), conditions(CELLS)
    with torch.no_grad():
        together = reader(parts).log_prob(x)
        single = torch.cat([reader(part).log_prob(x[2 * k : 2 * k + 2]) for k, part in enumerate(parts)])
    torch.testing.assert_close(together, single)


def test_activations_are_standardised_by_their_cell_and_clipped_far_out() -> None:
    image, cells = ImageSpace(1, 4, 4, 6), CELLS[:1]
    reader = fitted_reader(image, cells=cells)
    x = random_images(image, 2)
    (given,) = conditions(cells)
    mean, std = torch.tensor([1.0, -2.0, 3.0]).double(), torch.tensor([0.5, 2.0, 4.0]).double()
    with torch.no_grad():
        plain = reader(given).log_prob(x)
        reader.standardise(cells[0].name, mean, std)
        moved = given.map(lambda h: h * std.view(1, -1, 1, 1) + mean.view(1, -1, 1, 1))
        torch.testing.assert_close(reader(moved).log_prob(x), plain)
        far, farther = (given.map(lambda h, by=by: torch.full_like(h, by)) for by in (1e6, 1e8))
        assert torch.equal(reader(far).log_prob(x), reader(farther).log_prob(x))


# ---------------------------------------------------------------------------------------------- pulls


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("trailing", [(), (2, 3)])
def test_pulls_of_a_mixture_are_a_naive_formula(channels: int, trailing: tuple[int, ...]) -> None:
    output = build(ImageSpace(channels, 2, 3, 9), components=4).output
    b, m, c = 2, 4, channels
    parameters = torch.randn(b, output.n_parameters, *trailing, dtype=torch.float64)
    own = torch.randn(b, output.n_own, *trailing, dtype=torch.float64)
    pulls = torch.randn(b, output.n_pulls, *trailing, dtype=torch.float64)
    found = output.pulled(parameters, own, pulls)
    expected = parameters.clone()
    for component in range(m):
        for channel in range(c):
            mean, w = m + channel * m + component, pulls[:, channel * m + component]
            expected[:, mean] = (1 - w) * parameters[:, mean] + w * own[:, channel]
        for coupling, channel in enumerate((1, 2, 2) if c == 3 else ()):
            place, w = m + 2 * c * m + coupling * m + component, pulls[:, channel * m + component]
            expected[:, place] = (1 - w) * parameters[:, place] + w * own[:, 2 * c + coupling]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert torch.equal(output.pulled(parameters, own, torch.zeros_like(pulls)), parameters)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_mixture_pulled_all_the_way_has_the_means_and_couplings_that_are_read(channels: int) -> None:
    """Components of one scale at one place are one logistic: the distribution is the own one."""
    image = ImageSpace(channels, 2, 3, 9)
    output = build(image, components=4).output
    parameters = torch.randn(2, output.n_parameters, 2, 3, dtype=torch.float64)
    own = torch.randn(2, output.n_own, 2, 3, dtype=torch.float64)
    scales = slice(4 * (1 + channels), 4 * (1 + 2 * channels))
    parameters[:, scales] = own[:, channels : 2 * channels].repeat_interleave(4, 1)
    pulled = output.pulled(parameters, own, torch.ones(2, output.n_pulls, 2, 3, dtype=torch.float64))
    x = random_images(image, 2)
    torch.testing.assert_close(output.log_prob(pulled, x), output.own_log_prob(own, x))
    assert not torch.allclose(output.log_prob(parameters, x), output.own_log_prob(own, x))


def test_pulls_of_logits_are_a_product_of_experts() -> None:
    output = build(ImageSpace(1, 2, 3, 5), "categorical").output
    parameters, own = torch.randn(2, 2, 5, 2, 3, dtype=torch.float64)
    pulls = torch.rand(2, 1, 2, 3, dtype=torch.float64)
    weighted = parameters.softmax(1) * own.softmax(1) ** pulls
    found = output.pulled(parameters, own, pulls).softmax(1)
    torch.testing.assert_close(found, weighted / weighted.sum(1, keepdim=True))
    assert torch.equal(output.pulled(parameters, own, 0 * pulls), parameters)
    x = torch.randint(5, (2, 1, 2, 3))
    alone = output.pulled(torch.full_like(parameters, 0.7), own, torch.ones_like(pulls))
    torch.testing.assert_close(output.log_prob(alone, x), output.own_log_prob(own, x))


def test_the_simplest_distribution_sums_to_one() -> None:
    for image, output in ((ImageSpace(1, 1, 1, 7), "categorical"), (ImageSpace(3, 1, 1, 4), "logistic_mixture")):
        kind, images = build(image, output).output, all_images(image)
        own = torch.randn(1, kind.n_own, 1, 1, dtype=torch.float64).expand(len(images), -1, -1, -1)
        assert abs(float(kind.own_log_prob(own, images).exp().sum()) - 1) < 1e-9


def test_what_is_read_is_the_same_for_all_pixels_that_were_drawn() -> None:
    """The auxiliary distribution reads no pixel: every pixel's is a function of the activations alone."""
    image = ImageSpace(1, 4, 4, 6)
    reader = fitted_reader(image, "categorical")
    given = conditions(CELLS[:1], 2)
    x = random_images(image, 2)
    read, own = reader(given).terms[0]
    torch.testing.assert_close(
        reader(given).auxiliary_log_prob(x), 0.3 * own.log_softmax(1).gather(1, x).flatten(1).sum(1)
    )
    assert reader().auxiliary_log_prob(x) is None
    assert read.shape == (2, 5, 4, 4)


def test_colour_categories_have_no_simplest_distribution() -> None:
    reader = fitted_reader(ImageSpace(3, 2, 2, 4), "categorical")
    assert reader(conditions(CELLS[:1], 2)).auxiliary_log_prob(random_images(reader.config.image, 2)) is None


# ---------------------------------------------------------------------------------------------- a module


def test_its_parameters_and_state_are_not_those_of_the_base() -> None:
    reader = fitted_reader(ImageSpace(1, 4, 4, 6))
    below = {id(tensor) for tensor in [*reader.base.parameters(), *reader.base.buffers()]}
    assert not below & {id(tensor) for tensor in [*reader.parameters(), *reader.buffers()]}
    names = set(reader.state_dict())
    assert not any(name.startswith(("_base", "base")) for name in names)
    assert not any("mask" in name for name in names)
    other = build_reader(ImageSpace(1, 4, 4, 6), seed=7)
    other._base = reader._base
    other.load_state_dict(reader.state_dict())
    x, given = random_images(reader.config.image, 6), conditions(CELLS)
    assert torch.equal(other(given).log_prob(x), reader(given).log_prob(x))


def test_the_base_goes_where_the_reader_goes_and_stays_in_evaluation_mode() -> None:
    reader = fitted_reader(ImageSpace(1, 4, 4, 6), dropout=0.5)
    assert next(reader.float().base.parameters()).dtype == torch.float32
    assert reader.base.input_table.dtype == torch.float32
    assert next(reader.to("meta").base.parameters()).device.type == "meta"
    reader = fitted_reader(ImageSpace(1, 4, 4, 6), dropout=0.5).train()
    assert not reader.base.training
    x = random_images(reader.config.image, 6)
    assert torch.equal(reader().log_prob(x), reader().log_prob(x))


def test_no_gradient_reaches_the_base() -> None:
    reader = fitted_reader(ImageSpace(1, 4, 4, 6))
    before = copy.deepcopy(reader.base.state_dict())
    reader(conditions(CELLS)).log_prob(random_images(reader.config.image, 6)).sum().backward()
    assert all(parameter.grad is None for parameter in reader.base.parameters())
    assert all(parameter.grad is not None for parameter in reader.parameters())
    assert all(torch.equal(value, before[name]) for name, value in reader.base.state_dict().items())


def test_matrices_are_all_linear_maps_and_nothing_else() -> None:
    reader = fitted_reader(ImageSpace(1, 4, 4, 6))
    found = matrices_of(reader)
    named = dict(reader.named_parameters())
    assert set(found) == {name for name, parameter in named.items() if parameter.ndim >= 2 and "cell_" not in name}
    assert {name for name in named if "cell_" in name} & set(found) == set()
    for name, matrix in found.items():
        assert matrix.rows_of(named[name]).shape[0] == named[name].shape[0]


def test_initialisation_standardises_the_features_of_the_base() -> None:
    reader = build_reader(ImageSpace(1, 4, 4, 6))
    x = random_images(reader.config.image, 32)
    reader.initialise(x, conditions(CELLS, 1))
    features = (reader.base_features(x) - reader.feature_shift.view(1, -1, 1, 1)) * reader.feature_gain.view(
        1, -1, 1, 1
    )
    deviation, mean = torch.std_mean(features, (0, 2, 3), correction=0)
    torch.testing.assert_close(mean, torch.zeros_like(mean))
    torch.testing.assert_close(deviation, torch.ones_like(deviation))


def test_stored_features_are_used_and_unknown_images_computed() -> None:
    reader = fitted_reader(ImageSpace(1, 4, 4, 6))
    x, asked = random_images(reader.config.image, 2), []
    computed = reader.base_features(x)
    assert torch.equal(computed, computed.half().double())
    reader.stored = lambda images: asked.append(images) or torch.ones(2, 6, 4, 4, dtype=torch.float16)
    assert torch.equal(reader.base_features(x), torch.ones(2, 6, 4, 4, dtype=torch.float64))
    reader.stored = lambda images: asked.append(images)
    assert torch.equal(reader.base_features(x), computed)
    assert len(asked) == 2
    assert all(torch.equal(images, x) for images in asked)


def test_what_does_not_fit_is_refused() -> None:
    image = ImageSpace(1, 4, 4, 6)
    reader = build_reader(image)
    with pytest.raises(ValueError, match="cells of its own"):
        Reader(build(image, cells=CELLS), ReaderArchitecture(), CELLS)
    with pytest.raises(ValueError, match="same name"):
        Reader(build(image), ReaderArchitecture(), (CELLS[0], CELLS[0]))
    with pytest.raises(ValueError, match="shapes"):
        Reader(build(image), ReaderArchitecture(), (Cell("a", "layer", (3,)), Cell("b", "layer", (4,))))
    with pytest.raises(ValueError, match="unknown cell"):
        reader(Condition(torch.zeros(1, 3, 2, 2), "nowhere"))
    with pytest.raises(ValueError, match="has activations of"):
        reader(Condition(torch.zeros(1, 3, 4, 4), CELLS[0].name))
    for arguments in ({"null_mask": torch.ones(3).bool()}, {"batch_size": 3}):
        with pytest.raises(ValueError, match="disagree on the number of images"):
            reader(conditions(CELLS[:1], 2), **arguments)
    with pytest.raises(ValueError, match="disagree on the number of images"):
        reader(None, torch.ones(3).bool(), batch_size=2)
    with pytest.raises(ValueError, match="no cells"):
        build_reader(image, cells=())(torch.zeros(1, 3))
    with pytest.raises(ValueError, match="do not fit 2 conditions"):
        reader(conditions(CELLS[:1], 2)).log_prob(random_images(image, 3))
    with pytest.raises(ValueError, match="images must be"):
        reader().log_prob(torch.zeros(1, 1, 5, 4).long())
    with pytest.raises(ValueError, match="pixel values must be"):
        reader(conditions(CELLS[:1], 1)).log_prob(torch.full((1, 1, 4, 4), 6))


def test_sizes_out_of_range_are_refused() -> None:
    for name in ("width", "largest_width", "blocks", "coarse_blocks", "own_blocks", "causal_blocks"):
        with pytest.raises(ValueError, match=name):
            ReaderArchitecture(**{name: 0 if name.endswith("width") else -1})
    with pytest.raises(ValueError, match="own_share"):
        ReaderArchitecture(own_share=-0.1)
    assert math.isclose(ReaderArchitecture().own_share, 0.3)


def test_readers_without_blocks_still_read() -> None:
    image = ImageSpace(1, 4, 4, 6)
    size = ReaderArchitecture(width=3, largest_width=3, blocks=0, coarse_blocks=0, causal_blocks=0)
    reader = Reader(build(image, "categorical"), size, CELLS).double()
    shake(reader)
    x, given = random_images(image, 6), conditions(CELLS)
    assert (reader(given).log_prob(x) - reader().log_prob(x)).abs().min() > 1e-4


def test_dropout_is_for_fits_only_and_starts_at_the_base_too() -> None:
    image = ImageSpace(1, 4, 4, 8)
    plain = fitted_reader(image, "categorical")
    dropping = Reader(plain.base, dataclasses.replace(plain.config.reader, dropout=0.5), plain.config.cells).double()
    x, h = random_images(image, 6), torch.randn(6, *CELLS[0].shape, dtype=torch.float64)
    condition = Condition(h, CELLS[0].name)
    assert torch.equal(dropping.train()(condition).log_prob(x), plain().log_prob(x))  # nothing has been read yet
    dropping.load_state_dict(plain.state_dict())
    assert torch.equal(dropping.eval()(condition).log_prob(x), plain(condition).log_prob(x))
    set_dropout_stream(dropping.train(), 3)
    first = dropping(condition).log_prob(x)
    assert torch.equal(first, dropping(condition).log_prob(x))
    set_dropout_stream(dropping, 4)
    assert not torch.allclose(first, dropping(condition).log_prob(x))
    for outside in (-0.1, 1.0):
        with pytest.raises(ValueError, match=r"reader_network.dropout must be from 0"):
            ReaderArchitecture(dropout=outside)
