"""What Huang's paper and its code say of the universal network."""

import pytest
import torch
from torch import Tensor, nn

from pipeline.networks import U2Net


def domain(in_channels: int, out_channels: int, pools: int = 5) -> dict[str, int]:
    return {"in_channels": in_channels, "out_channels": out_channels, "pools": pools}


FIVE = {
    "heart": domain(1, 2),
    "liver": domain(1, 2),
    "hippocampus": domain(1, 3),
    "prostate": domain(2, 3),
    "pancreas": domain(1, 2),
}
TWO = {"liver": domain(1, 2, pools=3), "prostate": domain(2, 3, pools=1)}
IMAGES = {"liver": (2, 1, 8, 16), "prostate": (2, 2, 4, 6)}


def tiny(mode: str = "universal", **more: dict[str, int]) -> U2Net:
    torch.manual_seed(0)
    return U2Net(2, {**TWO, **more}, features=(4, 6, 8, 8), mode=mode)


@pytest.fixture(params=["universal", "shared", "independent"])
def network(request: pytest.FixtureRequest) -> U2Net:
    return tiny(request.param)


@pytest.fixture(params=TWO)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def image(name: str) -> Tensor:
    torch.manual_seed(0)
    return torch.rand(IMAGES[name])


def num_parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("mode", "domains", "parameters"),
    [
        ("universal", FIVE, 6_577_460),
        ("shared", FIVE, 33_152_724),
        ("independent", {**FIVE, "hippocampus": domain(1, 3, pools=3)}, 134_508_692),
        ("independent", {"heart": domain(1, 2)}, 33_113_214),
        ("independent", {"prostate": domain(2, 3)}, 33_113_765),
        ("independent", {"hippocampus": domain(1, 3, pools=3)}, 2_055_285),
    ],
)
def test_parameters_are_those_of_the_authors(mode, domains, parameters):
    with torch.device("meta"):
        assert num_parameters(U2Net(3, domains, mode=mode)) == parameters


def test_one_more_domain_costs_144_590_parameters_and_no_other_is_trained():
    with torch.device("meta"):
        network = U2Net(3, FIVE)
        network.add_domain("spleen", domain(1, 2))
    assert num_parameters(network) == 6_577_460 + 144_590
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == 144_590


def test_six_levels_end_in_512_channels():
    with torch.device("meta"):
        network, image = U2Net(3, FIVE), torch.empty(1, 1, 32, 32, 64)
    bottoms: list[torch.Size] = []
    network.downs[-1].register_forward_hook(lambda *call: bottoms.append(call[-1].shape))
    network(image)
    assert bottoms == [(1, 512, 1, 1, 2)]


def test_each_domain_has_its_own_channels(network, name, image):
    assert network(image, name).shape == (2, TWO[name]["out_channels"], *image.shape[2:])


def test_an_image_of_no_said_domain_belongs_to_the_chosen_one(image, name):
    network = U2Net(2, TWO, domain=name, features=(4, 6, 8, 8))
    assert torch.equal(network(image), network(image, name))
    assert network.divisor == 2 ** TWO[name]["pools"]


def test_the_first_domain_is_chosen_where_none_is():
    assert tiny().domain == "liver"


def test_a_batch_teaches_its_domain_and_what_is_shared(network, name, image):
    network(image, name).square().mean().backward()
    taught = {path for path, p in network.named_parameters() if p.grad is not None}
    (other,) = TWO.keys() - {name}
    of_other = {path for path, _ in network.named_parameters() if f".{other}." in path}
    assert of_other
    assert not taught & of_other
    assert {path for path, _ in network.named_parameters() if f".{name}." in path} <= taught


def test_all_domains_together_teach_every_parameter(network):
    for name, shape in IMAGES.items():
        network(torch.rand(shape), name).square().mean().backward()
    assert [path for path, p in network.named_parameters() if p.grad is None] == []


def test_only_the_independent_mode_shares_nothing():
    shared = {
        mode: [
            path
            for path, _ in tiny(mode).named_parameters()
            if not any(f".{name}." in path for name in TWO)
        ]
        for mode in ("universal", "shared", "independent")
    }
    assert shared["universal"]
    assert shared["shared"]
    assert shared["independent"] == []


def test_domains_share_point_wise_and_strided_convolutions():
    network = U2Net(3, {"heart": domain(1, 2, 2), "liver": domain(1, 2, 2)}, features=(4, 8, 8))
    kernels = {
        path: weight.shape[2:]
        for path, weight in network.named_parameters()
        if ".heart." not in path and ".liver." not in path and path.endswith("weight")
    }
    assert {kernel for path, kernel in kernels.items() if "pointwise" in path} == {(1, 1, 1)}
    assert {kernel for path, kernel in kernels.items() if "downsample" in path} == {(3, 3, 3)}
    assert all("pointwise" in path or "downsample" in path for path in kernels)


def test_filters_of_a_domain_are_channel_wise():
    filters = [layer for layer in tiny().modules() if getattr(layer, "groups", 1) > 1]
    assert filters
    assert all(layer.groups == layer.in_channels == layer.out_channels for layer in filters)


def test_the_encoder_passes_the_image_on_where_it_has_learnt_no_residual(network, name, image):
    for path, parameter in network.named_parameters():
        if ".second." in path:
            nn.init.zeros_(parameter)
    assert not torch.allclose(network(image, name), network(1 - image, name), atol=1e-3)


@pytest.mark.parametrize(("silent", "grain"), [(0, 1), (1, 2), (2, 4)])
def test_heads_of_three_resolutions_are_summed(silent, grain):
    """Without the finest heads the logits keep the grain of the finest head that is left."""
    network = tiny()
    heads = [network.heads, *network.side_heads]
    for head in heads[:silent]:
        for parameter in head.parameters():
            nn.init.zeros_(parameter)
    logits = network(torch.rand(1, 1, 16, 16))
    coarse = logits[:, :, ::grain, ::grain]
    repeated = coarse.repeat_interleave(grain, 2).repeat_interleave(grain, 3)
    torch.testing.assert_close(logits, repeated)
    finer = logits[:, :, :: 2 * grain, :: 2 * grain]
    finer = finer.repeat_interleave(2 * grain, 2).repeat_interleave(2 * grain, 3)
    assert not torch.allclose(logits, finer, atol=1e-3)


def test_a_domain_of_fewer_poolings_owns_nothing_at_coarser_levels():
    def levels(name: str) -> set[str]:
        paths = [path for path in tiny().state_dict() if f".{name}." in path]
        return {path.split(".")[1] for path in paths if path.startswith("downs")}

    assert levels("liver") == {"0", "1", "2"}
    assert levels("prostate") == {"0"}


def test_a_new_domain_leaves_the_others_as_they_are(network, name, image):
    before = network(image, name)
    network.add_domain("spleen", domain(1, 4, pools=2))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, weight_decay=0.1)
    logits = network(torch.rand(1, 1, 8, 8), "spleen")
    assert logits.shape == (1, 4, 8, 8)
    logits.square().mean().backward()
    optimizer.step()
    assert torch.equal(network(image, name), before)
    assert not torch.equal(network(torch.ones(1, 1, 8, 8), "spleen"), logits)


def test_weights_of_a_grown_network_fit_one_built_with_all_domains(network):
    spleen = domain(1, 4, pools=2)
    network.add_domain("spleen", spleen)
    whole = tiny(network.mode, spleen=spleen)
    whole.load_state_dict(network.state_dict(), strict=True)
    image = torch.rand(1, 1, 8, 8)
    assert torch.equal(whole(image, "spleen"), network(image, "spleen"))


def test_one_domain_alone_can_be_trained(name):
    torch.manual_seed(0)
    network = U2Net(2, TWO, features=(4, 6, 8, 8), trained=name)
    trained = {path for path, p in network.named_parameters() if p.requires_grad}
    assert trained == {path for path, _ in network.named_parameters() if f".{name}." in path}
    with pytest.raises(ValueError, match="unknown domain spleen"):
        U2Net(2, TWO, features=(4, 6, 8, 8), trained="spleen")


# torch 2.13 deprecates its own TorchScript, which MONAI's ckpt_export needs
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_scripted_network_takes_every_domain(network, name, image):
    scripted = torch.jit.script(network.eval())
    with torch.inference_mode():
        torch.testing.assert_close(scripted(image, name), network(image, name))


@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.`:FutureWarning")
def test_an_exported_network_is_that_of_the_chosen_domain(name):
    torch.manual_seed(0)
    network = U2Net(2, TWO, domain=name, features=(4, 6, 8, 8)).eval()
    traced, image = (torch.rand(1, TWO[name]["in_channels"], size, 16) for size in (16, 24))
    sizes = {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    program = torch.export.export(network, (traced,), dynamic_shapes={"image": sizes})
    with torch.inference_mode():
        torch.testing.assert_close(program.module()(image), network(image, name))


def test_one_axis_must_leave_the_norms_two_voxels():
    network = tiny()
    assert network(torch.rand(1, 1, 8, 16)).shape == (1, 2, 8, 16)
    with pytest.raises(ValueError, match=r"size 8 .* needs 16"):
        network(torch.rand(1, 1, 8, 8))


def test_sizes_are_judged_by_the_poolings_of_the_domain():
    network = tiny()
    assert network(torch.rand(1, 2, 6, 6), "prostate").shape == (1, 3, 6, 6)
    with pytest.raises(ValueError, match="size 20 is not a multiple of 8"):
        network(torch.rand(1, 1, 20, 20), "liver")


def test_an_unknown_domain_is_refused():
    with pytest.raises(ValueError, match="unknown domain spleen: known are liver, prostate"):
        tiny()(torch.rand(1, 1, 8, 16), "spleen")
    with pytest.raises(ValueError, match="unknown domain spleen"):
        U2Net(2, TWO, domain="spleen", features=(4, 6, 8, 8))


def test_a_domain_cannot_be_added_twice():
    with pytest.raises(ValueError, match="liver"):
        tiny().add_domain("liver", domain(1, 2, 1))


@pytest.mark.parametrize("pools", [0, 4])
def test_poolings_must_fit_the_levels(pools):
    with pytest.raises(ValueError, match=f"has {pools} pools: take 1 to 3"):
        tiny(spleen=domain(1, 2, pools))
    with pytest.raises(ValueError, match=f"has {pools} pools: take 1 to 3"):
        tiny().add_domain("spleen", domain(1, 2, pools))
