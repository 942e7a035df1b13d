"""The curves are a picture, also of a run that measured little."""

import io

import pytest
from PIL import Image

from medlora.errors import MissingPartError
from medlora.report import curves_png

pytestmark = pytest.mark.usefixtures("pictures")


def curve_pixels(picture: bytes) -> list[int]:
    """How many pixels have any colour but grey in each quarter, in reading order."""
    image = Image.open(io.BytesIO(picture))
    assert image.format == "PNG"
    colour, (width, height) = image.convert("HSV").getchannel("S"), image.size
    corners = [(left, top) for top in (0, height // 2) for left in (0, width // 2)]
    parts = [colour.crop((x, y, x + width // 2, y + height // 2)) for x, y in corners]
    return [sum(part.histogram()[50:]) for part in parts]


@pytest.mark.parametrize(
    ("names", "quarters"),
    [
        (("train_loss", "memory_allocated"), [True, False, True, False]),
        (
            ("eval_loss", "learning_rate", "performance/avg_response_quality"),
            [True, True, False, True],
        ),
    ],
)
def test_each_metric_has_its_panel_of_four(names, quarters: list[bool]) -> None:
    """A panel without numbers stays empty."""
    metrics = {name: [(n, 1 / n) for n in range(1, 40)] for name in names}
    drawn = curve_pixels(curves_png.draw(metrics, title="run"))
    assert [count > 200 for count in drawn] == quarters


def test_without_the_library_the_fix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """69, not a traceback."""
    monkeypatch.setattr(curves_png, "find_spec", lambda _: None)
    assert not curves_png.can_draw()
    with pytest.raises(MissingPartError, match=r"fix: install medlora\[plots\]") as error:
        curves_png.draw({}, title="run")
    assert error.value.exit_code == 69
