"""The built module beside torchvision's own: construction, and the speed of the forward pass."""

from typing import Any

from benchmarks.measure import Ratio, functions, milliseconds


def measure() -> list[Ratio]:
    """Weights initialised in both (as torch's layers are); the forward at batch 1 and 8, fp32, eval, on the CPU."""
    # Imported here: a parent that holds torch would lend its size to every command measured before.
    import torch

    from gnet_inspect import build_graph, build_module, load_spec
    from gnet_inspect.runtime.references import import_library

    models: Any = import_library("torchvision").models
    graph = build_graph(load_spec("googlenet_torchvision"))
    built = functions(
        9,
        ours=lambda: build_module(graph),
        theirs=lambda: models.googlenet(weights=None, aux_logits=False, init_weights=False),
    )
    ratios = [_ratio("build_module / torchvision's construction", built, "at most", 2)]
    ours = build_module(graph).eval()
    theirs = models.googlenet(weights=None, aux_logits=False, init_weights=False).eval()
    ours.load_state_dict(theirs.state_dict())
    for batch in (1, 8):
        x = torch.randn(batch, 3, 224, 224)
        with torch.inference_mode():
            assert torch.equal(ours(x), theirs(x))
            cost = functions(15, ours=lambda x=x: ours(x), theirs=lambda x=x: theirs(x))  # type: ignore[misc]  # bound now
        ratios.append(_ratio(f"forward at batch {batch} / torchvision's, outputs equal", cost, "at most", 1.05))
    return ratios


def _ratio(what: str, cost: dict[str, float], bound: str, limit: float) -> Ratio:
    ratio = cost["ours"] / cost["theirs"]
    return Ratio(what, milliseconds(cost["ours"]), milliseconds(cost["theirs"]), ratio, bound, limit)
