"""Specs that have very many of one thing: what a stranger, or a program, may hand to the command line.

Every quantity that a spec can have many of has a family here: a function from n to the text of a spec whose size, or
the size of whose network, is linear in n.
"""

from collections.abc import Callable

Family = Callable[[int], str]
FAMILIES: dict[str, Family] = {}
# The names of those that are refused at every n.
REFUSED: set[str] = set()

CONV = "{Conv2d: {out_channels: 8, kernel_size: 3, padding: 1}}"


def family(function: Family) -> Family:
    FAMILIES[function.__name__] = function
    return function


def refused(function: Family) -> Family:
    REFUSED.add(function.__name__)
    return family(function)


def spec(stages: str, **parts: str) -> str:
    """A spec around its stages (a flow mapping); `parts` are its other keys."""
    rest = "".join(f"{name}: {text}\n" for name, text in parts.items())
    return f"name: many\ninput: [8, 16, 16]\n{rest}stages: {stages}\n"


def many(n: int, write: Callable[[int], str]) -> str:
    return ", ".join(map(write, range(n)))


def nested(levels: int, top: str) -> str:
    """Blocks b0 to b<levels>, each of which calls the next twice: 2^levels calls of the last."""
    return ", ".join([*(f"b{k}: {{layers: [b{k + 1}, b{k + 1}]}}" for k in range(levels)), f"b{levels}: {top}"])


def levels_of(n: int) -> int:
    """How often n halves."""
    return max(n.bit_length() - 1, 1)


# --- parts of a network ---


@family
def stages(n: int) -> str:
    return spec("{" + many(n, lambda i: f"s{i}: {{l{i}: ReLU}}") + "}")


@family
def layers_of_a_stage(n: int) -> str:
    return spec("{body: {" + many(n, lambda i: f"l{i}: ReLU") + "}}")


@family
def layers_of_a_list(n: int) -> str:
    return spec("{body: [" + many(n, lambda i: "ReLU") + "]}")


@family
def convolutions(n: int) -> str:
    return spec("{body: [" + many(n, lambda i: f"{{Conv2d: {{out_channels: {i % 97 + 1}, kernel_size: 1}}}}") + "]}")


@family
def blocks(n: int) -> str:
    return spec(
        "{body: [" + many(n, lambda i: f"b{i}") + "]}",
        blocks="{" + many(n, lambda i: f"b{i}: {{layers: {{l: ReLU}}}}") + "}",
    )


@family
def unused_blocks(n: int) -> str:
    return spec("{body: {l: ReLU}}", blocks="{" + many(n, lambda i: f"b{i}: {{layers: {{l: ReLU}}}}") + "}")


@family
def parameters_of_a_block(n: int) -> str:
    block = f"{{params: [{many(n, lambda i: f'p{i}')}], layers: [{many(n, lambda i: f'{{Dropout: {{p: $p{i}}}}}')}]}}"
    return spec("{body: {l: {b: {" + many(n, lambda i: f"p{i}: 0.5") + "}}}}", blocks="{b: " + block + "}")


@family
def parameters_of_the_model(n: int) -> str:
    return spec(
        "{body: [" + many(n, lambda i: f"{{Dropout: {{p: $p{i}}}}}") + "]}",
        params="{" + many(n, lambda i: f"p{i}: 0.5") + "}",
    )


def defaulted(n: int) -> str:
    return (
        f"{{params: [{many(n, lambda i: f'p{i}')}], defaults: {{{many(n, lambda i: f'p{i}: 0.5')}}}, "
        f"layers: [{many(n, lambda i: f'{{Dropout: {{p: $p{i}, }}}}')}]}}"
    )


@family
def defaults(n: int) -> str:
    return spec("{body: {l: b}}", blocks="{b: " + defaulted(n) + "}")


@family
def defaults_behind_nested_blocks(n: int) -> str:
    """Each of n calls binds the same n defaults anew, if nobody shares them."""
    levels = levels_of(n)
    names = [f"q{i}" for i in range(n)]
    uses = f"{{ChannelAffine: {{scale: [{', '.join(f'${name}' for name in names)}], shift: [0]}}, when: $off}}"
    inner = (
        f"{{params: [c, {', '.join(names)}], defaults: {{{', '.join(f'{name}: 0' for name in names)}}}, "
        f"layers: [{{Conv2d: {{out_channels: $c, kernel_size: 1}}}}, {uses}]}}"
    )
    outer = ", ".join(
        f"b{k}: {{params: [c], layers: [{{b{k + 1}: {{c: $c}}}}, {{b{k + 1}: {{c: $c}}}}]}}" for k in range(levels)
    )
    return spec("{body: {l: {b0: {c: 8}}}}", params="{off: false}", blocks="{" + f"{outer}, b{levels}: {inner}" + "}")


@family
def work_behind_nested_blocks(n: int) -> str:
    """n calls of a block that repeats nothing n times."""
    levels = levels_of(n)
    inner = f"{{layers: [ReLU, {many(n, lambda i: '{repeat: {times: 0, layer: ReLU}}')}]}}"
    return spec("{body: {l: b0}}", blocks="{" + nested(levels, inner) + "}")


@family
def different_calls_behind_nested_blocks(n: int) -> str:
    """Nothing to share: every call at the bottom has an argument list of its own."""
    levels = levels_of(n)
    outer = ", ".join(
        f"b{k}: {{params: [c], layers: [{{b{k + 1}: {{c: $c}}}}, {{b{k + 1}: {{c: {k + 1}}}}}]}}" for k in range(levels)
    )
    inner = "{params: [c], layers: [{Conv2d: {out_channels: $c, kernel_size: 1}}]}"
    return spec("{body: {l: {b0: {c: 8}}}}", blocks="{" + f"{outer}, b{levels}: {inner}" + "}")


@family
def calls_of_a_block(n: int) -> str:
    block = "{params: [c], layers: {conv: {Conv2d: {out_channels: $c, kernel_size: 1}}}}"
    return spec("{body: [" + many(n, lambda i: f"{{b: {{c: {i + 1}}}}}") + "]}", blocks="{b: " + block + "}")


@family
def calls_of_a_block_of_many_parameters(n: int) -> str:
    """Half of the text are the parameters, half of it the calls."""
    names = [f"p{i}" for i in range(n)]
    block = (
        f"{{params: [{', '.join(names)}], defaults: {{{', '.join(f'{name}: 0' for name in names)}}}, layers: [ReLU, "
        + ", ".join(f"{{repeat: {{times: ${name}, layer: ReLU}}}}" for name in names)
        + "]}"
    )
    return spec(
        "{body: [" + many(n, lambda i: f"{{repeat: {{times: 0, layer: {{b: {{p{i}: 1}}}}}}}}") + ", ReLU]}",
        blocks="{b: " + block + "}",
    )


@family
def names_like_a_block(n: int) -> str:
    """Layers called as a block of many parameters is, over a call that might be its arguments."""
    names = [f"p{i}" for i in range(n)]
    block = f"{{params: [{', '.join(names)}], layers: [{', '.join(f'{{Dropout: {{p: ${name}}}}}' for name in names)}]}}"
    return spec(
        "{" + many(n, lambda i: f"s{i}: [{{c{i}: {{}}}}]") + "}",
        blocks="{b: " + block + ", " + many(n, lambda i: f"c{i}: {{layers: {{b: {{ReLU: {{}}}}}}}}") + "}",
    )


@family
def nesting(n: int) -> str:
    """As many levels of blocks as there may be, around a repeat."""
    levels = 40
    outer = ", ".join(f"b{k}: {{layers: {{a: b{k + 1}}}}}" for k in range(levels))
    inner = f"{{layers: {{l: [{{repeat: {{times: {n}, layer: ReLU}}}}]}}}}"
    return spec("{body: {l: b0}}", blocks="{" + f"{outer}, b{levels}: {inner}" + "}")


@family
def nesting_of_long_names(n: int) -> str:
    levels = 40
    outer = ", ".join(f"b{k}: {{layers: {{{'a' * 64}: b{k + 1}}}}}" for k in range(levels))
    inner = f"{{layers: {{l: [{{repeat: {{times: {n}, layer: ReLU}}}}]}}}}"
    return spec("{body: {l: b0}}", blocks="{" + f"{outer}, b{levels}: {inner}" + "}")


@family
def nested_calls(n: int) -> str:
    return spec("{body: {l: b0}}", blocks="{" + nested(levels_of(n), "{layers: {l: ReLU}}") + "}")


@family
def branches_of_a_concat(n: int) -> str:
    return spec("{body: {l: {concat: [" + many(n, lambda i: "{}") + "]}}}")


@family
def branches_with_layers(n: int) -> str:
    return spec("{body: {l: {concat: [" + many(n, lambda i: f"{{a{i}: ReLU}}") + "]}}}")


@family
def concats(n: int) -> str:
    return spec(
        "{body: [" + many(n, lambda i: "{add: [{}, {}]}" if i % 2 else f"{{add: [{{}}, {{a{i}: ReLU}}]}}") + "]}"
    )


@family
def a_wide_concat_beside_layers(n: int) -> str:
    """A cell of a table that is n long, in a table of n rows."""
    return spec(
        "{body: {l: {concat: [" + many(n, lambda i: "{}") + "]}, m: [{repeat: {times: " + str(n) + ", layer: ReLU}}]}}"
    )


@family
def repeats(n: int) -> str:
    return spec(f"{{body: [{{repeat: {{times: {n}, layer: ReLU}}}}]}}")


@family
def many_repeats(n: int) -> str:
    return spec("{body: [" + many(n, lambda i: "{repeat: {times: 1, layer: ReLU}}") + "]}")


@family
def repeats_of_nothing(n: int) -> str:
    return spec("{body: [ReLU, " + many(n, lambda i: "{repeat: {times: 0, layer: ReLU}}") + "]}")


@family
def repeated_blocks(n: int) -> str:
    conv = "{Conv2d: {out_channels: $c, kernel_size: 3, padding: 1}}"
    block = f"{{params: [c], layers: {{conv: {conv}, bn: BatchNorm2d, relu: ReLU}}}}"
    return spec(f"{{body: [{{repeat: {{times: {n}, layer: {{b: {{c: 8}}}}}}}}]}}", blocks="{b: " + block + "}")


@family
def whens(n: int) -> str:
    return spec("{body: [ReLU, " + many(n, lambda i: "{ReLU: {}, when: $f}") + "]}", params="{f: false}")


@family
def layers_as_arguments(n: int) -> str:
    block = "{params: [l], layers: {a: $l}}"
    return spec("{body: [" + many(n, lambda i: "{b: {l: ReLU}}") + "]}", blocks="{b: " + block + "}")


@family
def arguments_in_a_list(n: int) -> str:
    """A long list of numbers, handed through blocks."""
    numbers = many(n, lambda i: "1")
    outer = "{params: [x], layers: [{repeat: {times: 2, layer: {c: {x: $x}}}}]}"
    inner = "{params: [x], layers: [{ChannelAffine: {scale: $x, shift: $x}}]}"
    blocks_ = f"{{b: {outer}, c: {inner}}}"
    text = spec("{body: {l: {b: {x: [" + numbers + "]}}}}", blocks=blocks_)
    return text.replace("input: [8,", f"input: [{n},")


@family
def long_arguments_of_many_calls(n: int) -> str:
    """A long list of numbers that n calls hand on."""
    numbers = many(n, lambda i: "0")
    blocks_ = (
        "{b: {params: [x, t], layers: [{repeat: {times: $t, layer: {ChannelAffine: {scale: $x, shift: $x}}}}, ReLU]}}"
    )
    return spec(
        "{body: [" + many(n, lambda i: f"{{b: {{x: $x, t: {0}}}}}") + "]}",
        params="{x: [" + numbers + "]}",
        blocks=blocks_,
    )


@family
def elements_of_a_parameter(n: int) -> str:
    n = min(n, 9999)
    block = f"{{params: [p], layers: [{many(n, lambda i: f'{{Dropout: {{p: $p.{i}}}}}')}]}}"
    return spec("{body: {l: {b: {p: [" + many(n, lambda i: "0.5") + "]}}}}", blocks="{b: " + block + "}")


@family
def uses_of_a_parameter(n: int) -> str:
    return spec("{body: [" + many(n, lambda i: "{Dropout: {p: $p}}") + "]}", params="{p: 0.5}")


# --- values by their names, sharing, arithmetic ---


@family
def names_of_one_layer(n: int) -> str:
    return spec("{body: {first: ReLU, " + many(n, lambda i: f"l{i}: {{add: [first, {{}}]}}") + "}}")


@family
def names_in_one_join(n: int) -> str:
    return spec("{body: {" + many(n, lambda i: f"l{i}: ReLU") + ", all: {add: [" + many(n, lambda i: f"l{i}") + "]}}}")


@family
def names_of_what_is_just_before(n: int) -> str:
    return spec("{body: {l0: ReLU, " + many(n, lambda i: f"l{i + 1}: {{ReLU: , from: l{i}}}") + "}}")


@family
def calls_of_one_layer(n: int) -> str:
    return spec("{body: {c: " + CONV + ", " + many(n, lambda i: f"l{i}: {{share: c}}") + "}}")


@family
def calls_of_one_block(n: int) -> str:
    block = "{b: {layers: {c: " + CONV + ", r: {concat: [{x: ReLU}]}}}}"
    return spec("{body: {c: b, " + many(n, lambda i: f"l{i}: {{share: c}}") + "}}", blocks=block)


@refused
def calls_that_double(n: int) -> str:
    levels = 20 + levels_of(n)
    blocks = many(levels, lambda k: f"b{k}: {{layers: {{x: b{k + 1}, y: {{share: x}}}}}}")
    return spec("{body: {a: b0}}", blocks=f"{{{blocks}, b{levels}: {{layers: [ReLU]}}}}")


@family
def values_given_to_blocks(n: int) -> str:
    block = "{gate: {params: [skip], layers: {g: {mul: [{}, $skip]}}}}"
    return spec("{body: {l0: ReLU, " + many(n, lambda i: f"l{i + 1}: {{gate: {{skip: l{i}}}}}") + "}}", blocks=block)


@family
def learned_tensors(n: int) -> str:
    tensors = many(n, lambda i: f"p{i}: {{Parameter: {{shape: [8, 1, 1]}}}}, l{i}: {{add: [{{}}, p{i}]}}")
    return spec("{body: {" + tensors + "}}")


@family
def expressions(n: int) -> str:
    conv = "{Conv2d: {out_channels: ($w + 1) * 2 - $w // 2, kernel_size: 1}}"
    return spec("{body: {" + many(n, lambda i: f"l{i}: {conv}") + "}}", params="{w: 4}")


@family
def branches_of_branches_by_name(n: int) -> str:
    join = "{concat: [{a@: ReLU}, {b@: Tanh}]}, k@: {Slice: {stop: 8}}"
    return spec("{body: {" + many(n, lambda i: f"j{i}: {join}, z{i}: {{add: [{{}}, a@]}}".replace("@", str(i))) + "}}")


# --- heads ---


@family
def heads(n: int) -> str:
    return spec(
        "{body: {" + many(n, lambda i: f"l{i}: ReLU") + "}}",
        heads="{" + many(n, lambda i: f"h{i}: {{from: l{i}, layers: {{a: ReLU}}}}") + "}",
    )


@family
def heads_of_one_layer(n: int) -> str:
    return spec(
        "{body: {l: ReLU, m: ReLU}}", heads="{" + many(n, lambda i: f"h{i}: {{from: l, layers: {{a: ReLU}}}}") + "}"
    )


@family
def heads_beside_continued_lists(n: int) -> str:
    return spec(
        "{first: {l: ReLU}, " + many(n, lambda i: f"s{i}: {{features: [ReLU]}}") + "}",
        heads="{" + many(n, lambda i: f"h{i}: {{from: l, layers: {{a: ReLU}}}}") + "}",
    )


@refused
def heads_of_nothing(n: int) -> str:
    return spec(
        "{body: {" + many(n, lambda i: f"l{i}: ReLU") + "}}",
        heads="{" + many(n, lambda i: f"h{i}: {{from: x{i}, layers: {{a: ReLU}}}}") + "}",
    )


# --- what is published ---


def published(rows: str = "", claims: str = "", source: str = "paper") -> str:
    parts = [f"source: {source}"]
    parts += [f"rows: [{rows}]"] if rows else []
    parts += [f"claims: [{claims}]"] if claims else []
    return f"[{{{', '.join(parts)}}}]"


@family
def published_entries(n: int) -> str:
    entries = many(n, lambda i: f"{{source: paper {i}, totals: {{params: 0}}}}")
    return spec("{body: [" + many(n, lambda i: "ReLU") + "]}", published=f"[{entries}]")


@family
def rows(n: int) -> str:
    return spec(
        "{body: {" + many(n, lambda i: f"l{i}: ReLU") + "}}",
        published=published(many(n, lambda i: f"{{nodes: [l{i}], params: 0, macs: 0, depth: 0}}")),
    )


def one_list(n: int, figure: str) -> str:
    """A list of n layers, and n rows that print a figure of it."""
    return spec(
        "{body: {features: [{repeat: {times: " + str(n) + ", layer: ReLU}}]}}",
        published=published(many(n, lambda i: f"{{nodes: [features], {figure}: 0}}")),
    )


@family
def rows_of_one_list(n: int) -> str:
    return one_list(n, "params")


@family
def rows_of_different_sets(n: int) -> str:
    return spec(
        "{body: {features: [{repeat: {times: "
        + str(n)
        + ", layer: ReLU}}], "
        + many(n, lambda i: f"l{i}: ReLU")
        + "}}",
        published=published(many(n, lambda i: f"{{nodes: [features, l{i}], params: 0, macs: 0}}")),
    )


@family
def depths_of_one_list(n: int) -> str:
    return one_list(n, "depth")


@family
def names_in_a_row(n: int) -> str:
    return spec(
        "{body: {" + many(n, lambda i: f"l{i}: ReLU") + "}}",
        published=published("{nodes: [" + many(n, lambda i: f"l{i}") + "], params: 0}"),
    )


@refused
def rows_of_nothing(n: int) -> str:
    return spec(
        "{body: {" + many(n, lambda i: f"l{i}: ReLU") + "}}",
        published=published(many(n, lambda i: f"{{nodes: [x{i}], params: 0}}")),
    )


@family
def claims(n: int) -> str:
    return spec(
        "{body: [" + many(n, lambda i: CONV) + "]}",
        published=published(claims=many(n, lambda i: "{ratio: params, of: many, to: many, value: 1}")),
    )


@family
def claims_of_the_catalogue(n: int) -> str:
    return spec(
        "{body: {l: ReLU}}",
        published=published(claims=many(n, lambda i: "{ratio: macs, of: lenet5, to: lenet5, value: 1}")),
    )


@family
def networks_of_claims(n: int) -> str:
    one = "{name: a, input: [8, 4, 4], layers: [" + CONV + "]}"
    return spec(
        "{body: {l: ReLU}}",
        published=published(claims=many(n, lambda i: f"{{ratio: params, of: {one}, to: {one}, value: 1}}")),
    )


@family
def rows_of_a_long_source(n: int) -> str:
    return spec(
        "{body: {l: ReLU}}",
        published=published(many(n, lambda i: "{nodes: [l], params: 0}"), source="s" * min(n, 10_000)),
    )


@family
def rows_of_a_shared_note(n: int) -> str:
    rest = many(n, lambda i: "{nodes: [l], params: 1, note: *n}")
    return spec(
        "{body: {l: ReLU}}",
        published=published(f"{{nodes: [l], params: 0, note: &n {'n' * min(n, 10_000)}}}, {rest}"),
    )


# --- YAML ---


@family
def aliases(n: int) -> str:
    return spec("{body: [&a " + CONV + ", " + many(n, lambda i: "*a") + "]}")


@family
def nested_aliases(n: int) -> str:
    levels = levels_of(n)
    text = "".join(f"&a{k + 1} [*a{k}, *a{k}], " for k in range(levels))
    return spec("{body: [&a0 [ReLU], " + text + "ReLU]}")


@family
def long_texts(n: int) -> str:
    return spec(
        "{body: {l: ReLU}}", title="t" * min(n, 10_000), notes="n" * min(n, 10_000), family="f" * min(n, 10_000)
    )


@family
def a_long_stage_name(n: int) -> str:
    return spec("{? " + "s" * min(n, 10_000) + f" : [{{repeat: {{times: {n}, layer: ReLU}}}}]}}")


@refused
def a_long_key(n: int) -> str:
    return spec("{body: {l: ReLU}}", x="{? " + "k" * n + " : [" + many(n, lambda i: "1") + "]}")


@refused
def nested_long_keys(n: int) -> str:
    key = "k" * (n // 30)
    return spec("{body: {l: ReLU}}", x=f"{{? {key} : " * 30 + "[" + many(n, lambda i: "1") + "]" + "}" * 30)


@family
def comments(n: int) -> str:
    return spec("{body: {l: ReLU}}") + "# comment\n" * n


@refused
def directives(n: int) -> str:
    return "".join(f"%TAG !t{i}! b\n" for i in range(n)) + "---\n" + spec("{body: {l: ReLU}}")


@refused
def misspelt_layer(n: int) -> str:
    return spec("{body: [Blok0000012]}", blocks="{" + many(n, lambda i: f"Block{i:07}: {{layers: {{l: ReLU}}}}") + "}")


@refused
def misspelt_parameter(n: int) -> str:
    return spec(
        "{body: [{Dropout: {p: $paramter0000012}}]}", params="{" + many(n, lambda i: f"parameter{i:07}: 0.5") + "}"
    )


@refused
def a_long_misspelt_name(n: int) -> str:
    return spec(
        "{body: [" + "x" * n + "]}", blocks="{" + many(n, lambda i: f"Block{i:07}: {{layers: {{l: ReLU}}}}") + "}"
    )


@refused
def missing_arguments(n: int) -> str:
    names = [f"p{i}" for i in range(n)]
    block = f"{{params: [{', '.join(names)}], layers: [{', '.join(f'{{Dropout: {{p: ${name}}}}}' for name in names)}]}}"
    return spec("{body: {l: b}}", blocks="{b: " + block + "}")


@refused
def kinds_that_double(n: int) -> str:
    """Two parameters, each a pair of the two of the level below."""
    levels = min(levels_of(n), 45)
    blocks_ = ["a0: {params: [q], layers: [{Dropout: {p: $q}}]}", "b0: {params: [q], layers: [{ReLU: {}, when: $q}]}"]
    for k in range(levels):
        for name, (one, other) in (("a", "ab"), ("b", "ba")):
            blocks_.append(
                f"{name}{k + 1}: {{params: [q], layers: [{{{one}{k}: {{q: $q.0}}}}, {{{other}{k}: {{q: $q.1}}}}]}}"
            )
    return spec(f"{{body: [{{a{levels}: {{q: 1}}}}]}}", blocks="{" + ", ".join(blocks_) + "}")


@refused
def values_that_double(n: int) -> str:
    """A pair of a pair of a pair, of which the innermost layer says what it should be."""
    levels = min(levels_of(n), 45)
    outer = ", ".join(f"b{k}: {{params: [p], layers: [{{b{k + 1}: {{p: [$p, $p]}}}}]}}" for k in range(levels))
    inner = "{params: [p], layers: [{Conv2d: {out_channels: 1, kernel_size: [[$p, 1], 2]}}]}"
    return spec("{body: {l: {b0: {p: 1}}}}", blocks="{" + f"{outer}, b{levels}: {inner}" + "}")
