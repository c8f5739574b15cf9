"""Which names a spec may use."""

import re

NAME = re.compile(r"[A-Za-z0-9_]{1,64}\Z")
NAME_PATTERN = "^[A-Za-z0-9_]{1,64}$"

# The grammar's own words: a block or a layer of that name could not be told from them.
GRAMMAR_WORDS = frozenset({"concat", "add", "repeat", "when"})

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
OWN_WORDS = frozenset({"input", "_plan", "_training_plan", "_heads"})


def name_fault(name: str, what: str) -> tuple[str, str] | None:
    """(fact, hint) where `name` cannot name a layer, block or parameter; None where it can."""
    if not NAME.match(name):
        return f"expected a name of 1 to 64 letters, digits and underscores for the {what}, got {name[:80]!r}", ""
    if name.startswith("__"):
        return f"expected a name that does not start with two underscores for the {what}, got `{name}`", ""
    # A block or a parameter gives a module no name.
    if name in MODULE_ATTRIBUTES and what not in ("block", "parameter"):
        hint = "a module of that name would hide torch's own attribute; rename it"
        return f"expected a name that is free for the {what}, got `{name}`, an attribute of torch.nn.Module", hint
    if name in OWN_WORDS or (what == "block" and name in GRAMMAR_WORDS):
        return f"expected a name that is free for the {what}, got the reserved word `{name}`", "rename it"
    return None
