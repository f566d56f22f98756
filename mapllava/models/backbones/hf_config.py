"""Configs of transformers' models: from a folder, of a part of one, or from our config's ``architecture``.

transformers is imported when a component that needs it is built, not before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mapllava.checkpoint import WeightSource
from mapllava.config.mistake import check_sizes
from mapllava.errors import MapLLaVAError

RANDOM_STD = 0.02  # for families whose own default (BLIP-2's 1e-10) only makes sense with weights


def config_of(source: WeightSource) -> Any:
    """The transformers config in a model's folder; code that lies beside it is never run.

    Raises:
        MapLLaVAError: if only code of the folder's own would understand it, or a value in it is wrong.
    """
    from transformers import CONFIG_MAPPING, AutoConfig

    model_type = source.config().get("model_type")
    if model_type not in CONFIG_MAPPING:
        raise MapLLaVAError(
            f"pretrained='{source.name}': its model_type '{model_type}' is not one of transformers' own, and "
            "code that a folder brings along is not run: use a model that transformers knows"
        )
    try:
        return AutoConfig.from_pretrained(source.folder, trust_remote_code=False)
    except Exception as error:  # of many kinds, by what a config's class does with its values
        reason = " ".join(str(error).split())[:200]
        raise MapLLaVAError(
            f"pretrained='{source.name}': transformers does not take its config.json "
            f"({type(error).__name__}: {reason}): download it again"
        ) from error


def part_config(
    source: WeightSource, part: str, config_class: Any, component: str, alike: Sequence[str] = ()
) -> Any:
    """The config of a model's part, from a folder of the part alone or of the whole model.

    Args:
        source: the folder.
        part: where a whole model's config has it, e.g. ``vision_config``.
        config_class: what the part's must be.
        component: what a message calls the part.
        alike: ``model_type`` of other families whose part is built the same.

    Raises:
        MapLLaVAError: if the folder holds another kind of part.
    """
    whole = config_of(source)
    config = getattr(whole, part, whole)
    if isinstance(config, config_class):
        return config
    if config.model_type not in alike:
        raise MapLLaVAError(
            f"{component}: '{source.name}' holds a {config.model_type}, expected a "
            f"{' or '.join((config_class.model_type, *alike))}"
        )
    known = set(config_class().to_dict()) - {"model_type"}
    return config_class(**{key: value for key, value in config.to_dict().items() if key in known})


def configure(config_class: Any, values: dict[str, Any], component: str) -> Any:
    """A transformers config from our config's ``architecture``.

    Raises:
        ValueError: for a key that the config class does not have (transformers would keep it
            without a word).
    """
    known = set(config_class().to_dict()) | set(config_class.attribute_map)
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(
            f"{component}: architecture has {', '.join(unknown)}, which {config_class.__name__} does not know"
        )
    _check_sizes(values, f"{component}.architecture")
    config = config_class(**values)
    heads, shared = (getattr(config, f"num_{kind}_heads", None) for kind in ("attention", "key_value"))
    if heads and shared and heads % shared:
        raise MapLLaVAError(
            f"{component}.architecture: num_attention_heads={heads} is no multiple of "
            f"num_key_value_heads={shared}: give both, so that it is"
        )
    return config


def _check_sizes(values: Mapping[str, Any], where: str) -> None:
    """Refuse sizes that transformers builds a model of, which then fails on its first batch."""
    words = ("_size", "_heads", "_layers", "_frequency")
    sizes = {name: value for name, value in values.items() if name.endswith(words) and value is not None}
    check_sizes(where, **sizes)
    heads = values.get("num_attention_heads")
    if heads and values.get("hidden_size", heads) % heads and "head_dim" not in values:
        raise MapLLaVAError(
            f"{where}: hidden_size={values['hidden_size']} is no multiple of num_attention_heads={heads}: "
            "change one of the two"
        )


def without_dropout(config: Any) -> Any:
    """The config with every dropout rate at zero, for a backbone that stays as it is."""
    for name in config.to_dict():
        if name.endswith(("dropout", "pdrop", "dropout_prob", "attention_probs_dropout_prob")):
            setattr(config, name, 0.0)
    return config
