"""The text that goes with a bokeh strength, and the published quick preset."""

PROMPT_TOKENS = 512  # of T5: the published pipeline pads to this; ComfyUI's default is 256
FAST = {"steps": 20, "guidance": 1.0}  # the published quick preset

PROMPT = (
    "Set dof_cond = {value:.2f} (stronger background defocus); preserve subject sharpness; "
    "keep composition, lighting, and colors unchanged."
)  # as the adapter was trained, arXiv 2512.12425


def bokeh_prompt(strength: float, template: str = PROMPT) -> str:
    """Return the prompt of one bokeh strength, which is not clamped to the trained range.

    Args:
        strength: bokeh strength K, px·m.
        template: text with `{value}` where the strength goes; without it, the text as it is.

    Raises:
        ValueError: a template with other fields or stray braces.
    """
    try:
        return template.format(value=strength)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise ValueError(
            f'prompt: cannot put the strength into "{template}" ({error}). '
            "Write {value:.2f} where it goes, and double other braces."
        ) from error
