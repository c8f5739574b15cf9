"""Networks of transformers, called by keyword: their parameters, their multiply-accumulates, their recorded calls."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from gnet_inspect import summarize, trace  # noqa: E402
from gnet_inspect.errors import UsageError  # noqa: E402
from gnet_inspect.runtime.references import define_operators  # noqa: E402
from gnet_inspect.runtime.tracing import traced  # noqa: E402
from gnet_inspect.runtime.tracing.examples import Examples  # noqa: E402
from gnet_inspect.runtime.verify_network import Checked  # noqa: E402

define_operators()
with warnings.catch_warnings():
    # It warns of what else is installed.
    warnings.simplefilter("ignore")
    transformers: Any = pytest.importorskip("transformers", reason="transformers is not installed")

# Its networks warn of what will be called otherwise in later versions.
pytestmark = pytest.mark.filterwarnings("ignore")
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 100,
}
TOKENS = torch.arange(32).reshape(2, 16)
IDS = {"input_ids": TOKENS}
Make = Callable[[], nn.Module]


def _llama() -> nn.Module:
    network: nn.Module = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES, num_key_value_heads=2))
    return network


def _mistral() -> nn.Module:
    settings = transformers.MistralConfig(**SIZES, num_key_value_heads=2, sliding_window=8)
    network: nn.Module = transformers.MistralForCausalLM(settings)
    return network


def _bert() -> nn.Module:
    network: nn.Module = transformers.BertModel(transformers.BertConfig(**SIZES))
    return network


def _gpt2() -> nn.Module:
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    settings = transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=100, **ends)
    network: nn.Module = transformers.GPT2LMHeadModel(settings)
    return network


def _t5() -> nn.Module:
    settings = transformers.T5Config(d_model=32, d_ff=64, d_kv=8, num_layers=2, num_heads=4, vocab_size=100)
    network: nn.Module = transformers.T5ForConditionalGeneration(settings)
    return network


def _vit() -> nn.Module:
    sizes = {name: size for name, size in SIZES.items() if name != "vocab_size"}
    network: nn.Module = transformers.ViTModel(transformers.ViTConfig(**sizes, image_size=32, patch_size=8))
    return network


NETWORKS: dict[str, tuple[Make, dict[str, Tensor]]] = {
    "llama": (_llama, IDS),
    "mistral": (_mistral, IDS),
    "bert": (_bert, IDS),
    "gpt2": (_gpt2, IDS),
    "t5": (_t5, IDS | {"decoder_input_ids": TOKENS}),
    "vit": (_vit, {"pixel_values": torch.ones(2, 3, 32, 32)}),
}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_what_torch_says(name: str, attention: str) -> None:
    make, given = NETWORKS[name]
    module: Any = make().eval()
    module.set_attn_implementation(attention)
    made = traced(module, [], given, tape=True)
    checked = Checked(module, made, Examples(module, [], given), "eval")
    assert checked.replay("", "").differences == ()
    assert checked.parameters("", "").differences == ()
    # None where it is not known what the counter says of a layer.
    assert checked.flop_counter("", "").ok
    assert not made.graph.unreached


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_without_weights_is_the_same(name: str) -> None:
    make, given = NETWORKS[name]
    with torch.device("meta"):
        module = make().eval()
    meta = {name: tensor.to("meta") for name, tensor in given.items()}
    assert summarize(trace(module, **meta)).totals == summarize(trace(make().eval(), **given)).totals


def test_a_mask_whose_values_decide_is_needed_as_it_is() -> None:
    """A mask of ones is left out, which shapes do not say."""
    mask = torch.ones_like(TOKENS)
    graph = trace(_bert().eval(), input_ids=TOKENS, attention_mask=mask)
    assert summarize(graph).totals.macs == summarize(trace(_bert().eval(), **IDS)).totals.macs
    with pytest.raises(UsageError, match=r"padding_mask\.all.*give real tensors"):
        trace(_bert().eval(), input_ids=TOKENS, attention_mask=mask.to("meta"))


def test_a_network_of_eight_billion_weights_is_traced_without_them() -> None:
    """A Llama 3 of 8 B: what its sizes say by hand."""
    hidden, inner, layers, keys, words, length = 4096, 14336, 32, 8 * 128, 128256, 128
    settings = transformers.LlamaConfig(
        vocab_size=words,
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=32,
        num_key_value_heads=8,
    )
    with torch.device("meta"):
        module = transformers.LlamaForCausalLM(settings).eval()
    totals = summarize(trace(module, input_ids=torch.zeros(1, length, dtype=torch.int64, device="meta"))).totals
    assert totals.params == 8_030_261_248
    # Of each token: queries and outputs, keys and values, the gated layers; then the words; and of each pair of tokens.
    projections = 2 * hidden * hidden + 2 * hidden * keys + 3 * hidden * inner
    products = 2 * length * length * hidden
    assert totals.macs == length * (layers * projections + hidden * words) + layers * products == 964_891_246_592
