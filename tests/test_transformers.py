"""Networks of transformers, by keyword and without weights: counted as by hand."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers", reason="transformers is not installed: pip install transformers")

from gnet_inspect import summarize, trace  # noqa: E402


def test_a_language_model_is_counted_without_weights() -> None:
    """The shape of Llama 3 8B: the parameters that its card says, and its products one by one."""
    config: Any = transformers.LlamaConfig(
        vocab_size=128256,
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
    )
    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(config).eval()
    length = 128
    totals = summarize(trace(model, input_ids=torch.empty(1, length, dtype=torch.long, device="meta"))).totals
    assert totals.params + totals.unreached_params == 8_030_261_248
    attention = 2 * 4096 * 4096 + 2 * 4096 * 1024
    linear = 32 * (attention + 3 * 4096 * 14336) + 4096 * 128256
    assert totals.macs == length * linear + 32 * 2 * length * length * 4096


@pytest.mark.parametrize("name", ["Bert", "GPT2", "Mistral"])
def test_small_ones_are_all_there(name: str) -> None:
    """Every parameter is counted or unreached, and nothing is unknown."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 99}
    more = {} if name == "GPT2" else {"intermediate_size": 64, "num_key_value_heads": 2}
    config: Any = getattr(transformers, f"{name}Config")(**sizes, **more)
    torch.manual_seed(0)
    model = getattr(transformers, f"{name}Model")(config).eval()
    tokens = torch.zeros(2, 7, dtype=torch.long)
    summary = summarize(trace(model, input_ids=tokens, attention_mask=torch.ones_like(tokens)))
    total = sum(weight.numel() for weight in model.parameters())
    assert summary.totals.params + summary.totals.unreached_params == total
    assert summary.coverage.unknown == ()
