"""Which names a spec may use."""

import re

# A hyphen stands inside a name only (torchvision's RegNet has `block1-0`).
NAME_WORD = "(?![A-Za-z0-9_-]{65})[A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)*"
NAME = re.compile(rf"{NAME_WORD}\Z")
NAME_PATTERN = f"^{NAME_WORD}$"
# A name or path of a layer, and which of its outputs is meant.
VALUE_WORD = rf"{NAME_WORD}(?:\.{NAME_WORD})*(?::[0-9]{{1,2}})?"

# The grammar's own words: a block or a layer of that name could not be told from them.
GRAMMAR_WORDS = frozenset({"concat", "add", "repeat", "when"})

# The layer classes that specs had before there were others: a block or a layer called like one of these is a mistake.
# Called like a later class it is what it was before that class came.
FIRST_CLASSES = frozenset(
    """
    AdaptiveAvgPool2d AvgPool2d BatchNorm2d ChannelAffine Conv2d ConvTranspose2d Dropout Flatten GELU Identity LeakyReLU
    Linear LocalResponseNorm MaxPool2d ReLU ReLU6 SiLU Sigmoid Softmax Tanh Upsample
    """.split()  # noqa: SIM905  # a list would take 21 lines
)

# Attributes of torch.nn.Module (torch 2.13, dir(torch.nn.Module())): a child of that name would hide the attribute.
# Written out because the static path never imports torch; a test compares it with the installed torch.
MODULE_ATTRIBUTES = frozenset(
    """
    T_destination _apply _backward_hooks _backward_pre_hooks _buffers _call_impl _compiled_call_impl _forward_hooks
    _forward_hooks_always_called _forward_hooks_with_kwargs _forward_pre_hooks _forward_pre_hooks_with_kwargs
    _get_backward_hooks _get_backward_pre_hooks _get_name _is_full_backward_hook _load_from_state_dict
    _load_state_dict_post_hooks _load_state_dict_pre_hooks _maybe_warn_non_full_backward_hook _modules
    _named_members _non_persistent_buffers_set _parameters _register_load_state_dict_pre_hook
    _register_state_dict_hook _replicate_for_data_parallel _save_to_state_dict _slow_forward _state_dict_hooks
    _state_dict_pre_hooks _version _wrapped_call_impl add_module apply bfloat16 buffers call_super_init children
    compile cpu cuda double dump_patches eval extra_repr float forward get_buffer get_extra_state get_parameter
    get_submodule half ipu load_state_dict modules mtia named_buffers named_children named_modules named_parameters
    parameters register_backward_hook register_buffer register_forward_hook register_forward_pre_hook
    register_full_backward_hook register_full_backward_pre_hook register_load_state_dict_post_hook
    register_load_state_dict_pre_hook register_module register_parameter register_state_dict_post_hook
    register_state_dict_pre_hook requires_grad_ set_extra_state set_submodule share_memory state_dict to to_empty
    train training type xpu zero_grad
    """.split()  # noqa: SIM905  # a list would take 114 lines
)

# What our own modules keep under a child's place, and the word that stands for the network's input in `inputs`.
# The one input of a network, where nobody names it.
INPUT = "input"
OWN_WORDS = frozenset({"input", "_plan", "_training_plan", "_heads", "_interface"})


def name_fault(name: str, what: str) -> tuple[str, str] | None:
    """(fact, hint) where `name` cannot name a layer, block or parameter; None where it can."""
    if not NAME.match(name):
        return (
            (
                f"expected a name of 1 to 64 letters, digits and underscores, with hyphens inside, for the {what}, "
                f"got {name[:80]!r}"
            ),
            "",
        )
    if name.startswith("__"):
        return f"expected a name that does not start with two underscores for the {what}, got `{name}`", ""
    # A block or a parameter gives a module no name.
    if name in MODULE_ATTRIBUTES and what not in ("block", "parameter"):
        hint = "a module of that name would hide torch's own attribute; rename it"
        return f"expected a name that is free for the {what}, got `{name}`, an attribute of torch.nn.Module", hint
    if name in OWN_WORDS or (what == "block" and name in GRAMMAR_WORDS):
        return f"expected a name that is free for the {what}, got the reserved word `{name}`", "rename it"
    return None
